"""An answer that begins within reasoning has its form behind that, read by the matcher of vLLM."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from inference.contract import Shape
from inference.engines.vllm.reasoning import behind
from inference.schema import to_gbnf
from tests.vllm.engine.driving import Driver

NAMED = {
    "type": "object",
    "properties": {"root": {"enum": ["red"]}},
    "required": ["root"],
    "additionalProperties": False,
}
COLOUR = Shape("schema", json.dumps(NAMED))


def matcher(tiny: Driver, gbnf: str) -> Any:
    xgrammar = importlib.import_module("xgrammar")
    tokenizer = tiny.engine._core.llm.get_tokenizer()
    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=tiny.engine.vocab.size)
    compiled = xgrammar.GrammarCompiler(info, max_threads=1).compile_grammar(gbnf)
    return xgrammar.GrammarMatcher(compiled, terminate_without_stop_token=True)


@pytest.mark.parametrize(
    "thought", ["", "Hm.", "a < b </ </t </think </th</think ", "世界\n", '{"']
)
def test_it_works(tiny: Driver, thought: str) -> None:
    found = matcher(tiny, behind(to_gbnf(COLOUR), "</think>"))
    assert found.accept_string(f"{thought}</think>")
    assert not found.accept_string("red")
    assert found.accept_string('\n\n{"root":"red"}')
    assert found.is_terminated()


def test_other_marks(tiny: Driver) -> None:
    for mark in ("[/THINK]", "<channel|>"):
        found = matcher(tiny, behind(to_gbnf(COLOUR), mark))
        assert found.accept_string(f'So. {mark}{{"root":"red"}}')


def test_a_grammar_s_words_stay_as_they_are(tiny: Driver) -> None:
    own = 'root ::= "root" rooted [root] # root\nrooted ::= "\\"root"'
    found = matcher(tiny, behind(own, "</think>"))
    assert found.accept_string('x</think>root"rooto')
    assert found.is_terminated()
