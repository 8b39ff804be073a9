"""Questions about tokens, on real weights and beside the batch; the embedder's and the demo's
too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from inference.contract import Message, ModelSpec, Request, Task
from inference.engines.base import WrongModelError
from inference.engines.echo import EchoEngine
from inference.engines.llamacpp.engine import LlamaCppEngine
from inference.engines.process import answer
from inference.prompt import PromptError
from inference.spelling import UnknownTokenError
from tests.inference.weights import SOURCE, job, load, run

TEXT = "One 漢 🙂 <|im_end|> two"
SEA = (Message("user", "Tell me about the sea."),)


@pytest.fixture(scope="module")
def engine() -> Iterator[LlamaCppEngine]:
    engine = load()
    yield engine
    engine.close()


def asked(task: Task, **fields: Any) -> Request:
    return Request("a", "bob", ModelSpec("smol", "llamacpp", SOURCE), task=task, **fields)


def tokens(engine: LlamaCppEngine, task: Task | None = None, **fields: Any) -> list[int]:
    found: list[int] = engine.answer(asked(task or Task("tokenize"), **fields))["tokens"]
    return found


def text(engine: LlamaCppEngine, ids: list[int]) -> str:
    return str(engine.answer(asked(Task("detokenize", tuple(ids))))["text"])


def test_it_works(engine: LlamaCppEngine) -> None:
    told = engine.answer(asked(Task("tokenize", pieces=True), prompt=TEXT))
    assert told["context_length"] == 512
    assert text(engine, told["tokens"]) == TEXT
    assert len(told["pieces"]) == len(told["tokens"])
    assert "<|im_end|>" in told["pieces"]
    assert tokens(engine, prompt="") == []
    assert not engine.busy()


def test_messages_are_what_an_answer_would_read(engine: LlamaCppEngine) -> None:
    ids = tokens(engine, messages=SEA)
    _, _, end = run(engine, job("a", messages=SEA))["a"]
    assert len(ids) == end.stats["prompt_tokens"]
    closed = tokens(engine, Task("tokenize", opened=False), messages=SEA)
    assert ids[: len(closed)] == closed
    assert text(engine, ids[len(closed) :]) == "<|im_start|>assistant\n"
    begun = (*SEA, Message("assistant", "It is b"))
    left_open = tokens(engine, Task("tokenize", continued=True), messages=begun)
    assert text(engine, left_open).endswith("It is b")


def test_what_cannot_be_told(engine: LlamaCppEngine) -> None:
    for wrong in (-1, engine.model.vocab.size):
        with pytest.raises(UnknownTokenError):
            text(engine, [1, wrong])
    with pytest.raises(PromptError):
        tokens(engine, Task("tokenize", continued=True), messages=SEA)


def test_a_text_of_which_a_vector_is_wanted_is_for_others(engine: LlamaCppEngine) -> None:
    _, _, end = run(engine, job("a", messages=(), inputs=("One",)))["a"]
    assert (end.error or {})["kind"] == WrongModelError.kind


def test_the_demo_spells_bytes() -> None:
    echo = EchoEngine()
    told = echo.answer(asked(Task("tokenize", pieces=True), prompt="é!"))
    assert told["tokens"] == list("é!".encode())
    assert told["pieces"][-1] == "!"
    assert echo.answer(asked(Task("detokenize", tuple(told["tokens"]))))["text"] == "é!"
    with pytest.raises(UnknownTokenError):
        echo.answer(asked(Task("detokenize", (256,))))


class Clumsy(EchoEngine):
    def answer(self, request: Request) -> dict[str, Any]:
        raise RuntimeError("a bug")


def test_a_question_ends_no_engine() -> None:
    wrong = answer(EchoEngine(), asked(Task("detokenize", (256,))))
    assert (wrong.reason, wrong.error) == ("error", {"kind": "bad_tokens"})
    broken = answer(Clumsy(), asked(Task("tokenize"), prompt="a"))
    assert broken.error == {"kind": "task_failed"}
    assert answer(EchoEngine(), asked(Task("tokenize"), prompt="a")).found["tokens"] == [97]
