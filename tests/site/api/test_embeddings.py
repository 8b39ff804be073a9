"""Vectors of texts and of token ids, as numbers and as base64; what cannot be is refused."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chatsite.api.shapes import EmbeddingList
from chatsite.catalogue.models import Model
from chatsite.gateway.models import Generation
from inference.pool import Pool
from tests.site.api.conftest import post_raw
from tests.site.api.engine_room import call, embedder, good, listening, worker

__all__ = ["listening", "worker"]

pytestmark = pytest.mark.django_db(transaction=True)
CAT, DOG = "The cat sleeps on the warm sofa.", "A kitten naps on a cosy couch."
LAW = "Article 7 governs quarterly tax filings of foreign subsidiaries."
PATH = "/v1/embeddings"


@pytest.fixture
def vectors(db: None) -> Model:
    return embedder(matryoshka=[64])


async def ask(key: str, given: Any, **fields: Any) -> list[NDArray[np.float64]]:
    """The vectors, in the order of the inputs."""
    told = await good(PATH, key, model="vectors", input=given, **fields)
    EmbeddingList.model_validate(told)
    assert [each["index"] for each in told["data"]] == list(range(len(told["data"])))
    return [np.array(each["embedding"]) for each in told["data"]]


async def refused(key: str, **body: Any) -> tuple[str, str | None]:
    answer = await call(PATH, key, **body)
    assert answer.status_code == 400, answer.content
    error = answer.json()["error"]
    return error["code"], error["param"]


async def test_it_works(key: str, vectors: Model, worker: Pool, listening: None) -> None:
    cat, dog, law = await ask(key, [CAT, DOG, LAW])
    assert cat.shape == (576,)
    assert np.linalg.norm(cat) == pytest.approx(1)
    assert cat @ dog > cat @ law
    told = await good(PATH, key, model="vectors", input=CAT, user="u")
    assert told["model"] == "vectors"
    assert 5 < told["usage"]["prompt_tokens"] == told["usage"]["total_tokens"] < 30


async def test_base64_has_the_same_numbers(
    key: str, vectors: Model, worker: Pool, listening: None
) -> None:
    numbers = await ask(key, [CAT, LAW])
    body = {"model": "vectors", "input": [CAT, LAW], "encoding_format": "base64"}
    told = await good(PATH, key, **body)
    for plain, each in zip(numbers, told["data"], strict=True):
        packed = np.frombuffer(b64decode(each["embedding"]), "<f4")
        assert packed == pytest.approx(plain, abs=1e-6)


async def test_token_ids_are_as_good_as_their_text(
    key: str, vectors: Model, worker: Pool, listening: None
) -> None:
    ids = (await good("/v1/tokenize", key, model="vectors", prompt=CAT))["tokens"]
    (text,), (one,) = await ask(key, CAT), await ask(key, ids)
    several = await ask(key, [ids, ids[:3]])
    assert one == pytest.approx(text, abs=2e-3)
    assert several[0] == pytest.approx(text, abs=2e-3)
    assert several[1] != pytest.approx(text, abs=1e-2)
    assert await refused(key, model="vectors", input=[1 << 30]) == ("bad_tokens", "input")


async def test_a_shorter_vector_is_a_beginning_of_length_one(
    key: str, vectors: Model, worker: Pool, listening: None
) -> None:
    (whole,), (part,) = await ask(key, CAT), await ask(key, CAT, dimensions=64)
    begin = whole[:64] / np.linalg.norm(whole[:64])
    assert part == pytest.approx(begin, abs=1e-3)
    assert (await ask(key, CAT, dimensions=576))[0] == pytest.approx(whole, abs=2e-3)
    # Only those that the model was made for.
    for wrong in (65, 1024):
        body = {"model": "vectors", "input": CAT, "dimensions": wrong}
        assert await refused(key, **body) == ("bad_dimensions", "dimensions")


async def test_an_input_that_is_too_long_is_refused_with_the_counts(
    key: str, vectors: Model, worker: Pool, listening: None
) -> None:
    answer = await call(PATH, key, model="vectors", input=[CAT, "word " * 80])
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "context_length_exceeded")
    assert error["param"] == "input"
    assert "64" in error["message"]


async def test_many_calls_get_their_own(
    key: str, vectors: Model, worker: Pool, listening: None
) -> None:
    texts = [f"Number {number} of many" for number in range(20)]
    (alone,) = await ask(key, texts[7])
    many = await asyncio.gather(*(ask(key, [text, CAT]) for text in texts))
    assert many[7][0] == pytest.approx(alone, abs=2e-3)
    assert len({tuple(found[0][:8].round(6)) for found in many}) == len(texts)


async def test_a_model_does_what_it_was_made_for(key: str, vectors: Model) -> None:
    assert await refused(key, model="echo", input=CAT) == ("wrong_model", "model")
    body = {"model": "vectors", "messages": [{"role": "user", "content": CAT}]}
    answer = await call("/v1/chat/completions", key, **body)
    assert answer.json()["error"]["code"] == "wrong_model"
    assert "/v1/embeddings" in answer.json()["error"]["message"]
    answer = await call("/v1/completions", key, model="vectors", prompt=CAT)
    assert answer.json()["error"]["code"] == "wrong_model"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [1, "a"]}, "input"),
        ({"input": [[1], ["a"]]}, "input"),
        ({"input": [1.5]}, "input"),
        ({"input": [True]}, "input"),
        ({"input": [-1]}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "truncate": True}, "truncate"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_r21_the_parameter_is_named(key: str, fields: dict[str, Any], param: str) -> None:
    answer = post_raw(json.dumps({"model": "vectors", **fields}), key, PATH)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert not Generation.objects.exists()
