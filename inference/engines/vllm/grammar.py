"""Grammars that an answer must follow, tried in a fork before vLLM computes with them: what it
refuses or takes too long for harms nobody. The engine's own matcher, xgrammar, tries them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import xgrammar
from numpy.typing import NDArray

from inference.contract import Shape
from inference.engines.compiler import Compiler, bad
from inference.schema import SchemaError, to_gbnf

# Characters of the grammar that is made of a shape.
LONGEST = 400_000
# Seconds of computing for one look at the vocabulary: all who write wait for it.
STEP = 0.2
# What is enough of a trial: tokens, seconds of computing, seconds.
TOKENS, COMPUTED, PASSED = 200, 0.6, 4.0


class GrammarTooComplexError(Exception):
    """A single choice took longer than others can wait."""

    kind = "grammar_too_complex"


class NothingFollowsError(Exception):
    """Neither a token nor the end is allowed: an answer could not go on."""


def compiler(tokenizer: Any, vocab_size: int, ends: Sequence[int]) -> Compiler:
    """Tries shapes for this vocabulary."""
    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocab_size)
    return Compiler(partial(_judge, info, list(ends)))


def _judge(info: Any, ends: list[int], shape: Shape) -> dict[str, str]:
    try:
        gbnf = to_gbnf(shape)
        if len(gbnf) > LONGEST:
            raise GrammarTooComplexError("It is too long.")
        if "\0" in gbnf or not gbnf.strip():
            return {"kind": bad(shape), "detail": "It is empty or has a zero byte."}
        _walk(gbnf, info, ends)
    except (SchemaError, GrammarTooComplexError) as error:
        return {"kind": error.kind, "detail": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever it is, this grammar cannot be used
        return {"kind": bad(shape), "detail": str(error)[:300]}
    return {"gbnf": gbnf}


def _walk(gbnf: str, info: Any, ends: list[int]) -> None:
    """Write what the grammar allows, by chance, until enough was seen of what it costs."""
    # No threads: this is a fork.
    compiled = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
    grammar = compiled.compile_grammar(gbnf)
    chance, until = np.random.default_rng(0), time.monotonic() + PASSED
    mask = xgrammar.allocate_token_bitmask(1, info.vocab_size)
    matcher = xgrammar.GrammarMatcher(grammar, override_stop_tokens=ends)
    for _ in range(TOKENS):
        if time.process_time() > COMPUTED or time.monotonic() > until:
            break
        begun = time.thread_time()
        matcher.fill_next_token_bitmask(mask)
        if time.thread_time() - begun > STEP:
            raise GrammarTooComplexError("A choice takes too long.")
        following = _allowed(mask, info.vocab_size)
        if not len(following):
            raise NothingFollowsError("It comes to a place where nothing may follow.")
        allowed = np.setdiff1d(following, ends)
        if len(allowed):
            matcher.accept_token(int(chance.choice(allowed)))
        else:
            matcher.reset()


def _allowed(mask: Any, size: int) -> NDArray[np.int64]:
    bits = np.unpackbits(mask.numpy().view(np.uint8), bitorder="little")
    return np.flatnonzero(bits[:size])
