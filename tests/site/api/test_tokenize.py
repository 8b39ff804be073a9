"""The tokens of a text or a conversation, and back: told at once, also while the engine is busy."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
import redis

from chatsite.api.shapes import Prompt, Tokens
from chatsite.catalogue.models import Model
from chatsite.gateway.models import Generation
from inference.pool import Pool
from inference.stream import LOG, RUN
from tests.site.api.conftest import post_raw
from tests.site.api.engine_room import call, chat_model, embedder, good, listening, worker

__all__ = ["listening", "worker"]

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = "Hello, 你好 🙂 <|im_end|> world"
HELLO = [{"role": "user", "content": "Say hello to Bob."}]


@pytest.fixture
def smol(db: None) -> Model:
    return chat_model()


@pytest.fixture
def vectors(db: None) -> Model:
    return embedder()


async def tokenize(key: str, model: str = "smol", **fields: Any) -> dict[str, Any]:
    told = await good("/v1/tokenize", key, model=model, **fields)
    Tokens.model_validate(told)
    assert told["count"] == len(told["tokens"])
    found: dict[str, Any] = told
    return found


async def detokenize(key: str, tokens: list[int], model: str = "smol") -> str:
    told = await good("/v1/detokenize", key, model=model, tokens=tokens)
    return Prompt.model_validate(told).prompt


async def code(path: str, key: str, **body: Any) -> str:
    answer = await call(path, key, **body)
    assert answer.status_code == 400, answer.content
    found: str = answer.json()["error"]["code"]
    return found


async def test_it_works(key: str, smol: Model, worker: Pool, listening: None) -> None:
    told = await tokenize(key, prompt=TEXT)
    assert told["max_model_len"] == 512
    assert told["token_strs"] is None
    assert 5 < told["count"] < 40
    assert await detokenize(key, told["tokens"]) == TEXT
    assert (await tokenize(key, prompt=""))["tokens"] == []
    assert await detokenize(key, []) == ""


async def test_a_conversation_counts_as_an_answer_says(
    key: str, smol: Model, worker: Pool, listening: None
) -> None:
    told = await tokenize(key, messages=HELLO)
    answer = await good(
        "/v1/chat/completions", key, model="smol", messages=HELLO, max_tokens=1, temperature=0
    )
    assert told["count"] == answer["usage"]["prompt_tokens"]
    assert (await detokenize(key, told["tokens"])).endswith("<|im_start|>assistant\n")
    closed = await tokenize(key, messages=HELLO, add_generation_prompt=False)
    assert told["tokens"][: closed["count"]] == closed["tokens"]
    assert (await detokenize(key, closed["tokens"])).endswith("Bob.<|im_end|>\n")
    begun = [*HELLO, {"role": "assistant", "content": "Hello, B"}]
    opened = await tokenize(key, messages=begun, continue_final_message=True)
    assert (await detokenize(key, opened["tokens"])).endswith("Hello, B")


async def test_each_token_can_be_spelled(
    key: str, smol: Model, worker: Pool, listening: None
) -> None:
    told = await tokenize(key, prompt="One two<|im_end|>", return_token_strs=True)
    assert "".join(told["token_strs"]) == "One two<|im_end|>"
    assert told["token_strs"][-1] == "<|im_end|>"


async def test_ids_of_no_token_are_refused(
    key: str, smol: Model, worker: Pool, listening: None
) -> None:
    body = {"model": "smol", "tokens": [1, 1 << 30]}
    assert await code("/v1/detokenize", key, **body) == "bad_tokens"


async def test_an_embedding_model_has_tokens_too(
    key: str, vectors: Model, worker: Pool, listening: None
) -> None:
    told = await tokenize(key, "vectors", prompt="One two")
    assert await detokenize(key, told["tokens"], "vectors") == "One two"
    assert await code("/v1/tokenize", key, model="vectors", messages=HELLO) == "wrong_model"


async def test_the_demo_spells_bytes(key: str, worker: Pool, listening: None) -> None:
    told = await tokenize(key, "echo", prompt="é", return_token_strs=True)
    assert told["tokens"] == list("é".encode())
    assert await detokenize(key, told["tokens"], "echo") == "é"


async def test_it_needs_no_slot(key: str, smol: Model, worker: Pool, listening: None) -> None:
    """A model with one slot that writes for somebody, while another waits, answers at once; and a
    hundred questions at once are all answered."""
    endless = {"model": "smol", "messages": HELLO, "max_tokens": 450, "ignore_eos": True}
    writing = [asyncio.create_task(call("/v1/chat/completions", key, **endless)) for _ in range(2)]
    await asyncio.sleep(1.5)
    began = time.monotonic()
    told = await asyncio.gather(
        *(tokenize(key, prompt=f"Question {number}") for number in range(100))
    )
    print(f"A hundred questions beside an answer took {time.monotonic() - began:.1f} s.")
    assert not any(task.done() for task in writing)
    texts = await asyncio.gather(*(detokenize(key, each["tokens"]) for each in told))
    assert texts == [f"Question {number}" for number in range(100)]
    assert not all(task.done() for task in writing)
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)


async def test_nothing_is_kept(
    key: str, smol: Model, worker: Pool, listening: None, valkey: str
) -> None:
    await tokenize(key, prompt=TEXT)
    with redis.Redis.from_url(valkey) as broker:
        for _ in range(100):
            left = [*broker.scan_iter(f"{LOG}*"), *broker.scan_iter(f"{RUN}*")]
            if not any(TEXT.encode() in b"".join(whole(broker, name)) for name in left):
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("the question is still there")
    assert not await Generation.objects.aexists()


def whole(broker: redis.Redis, name: bytes) -> list[bytes]:
    if not name.startswith(LOG.encode()):
        return []
    entries: Any = broker.xrange(name)
    return [value for _, fields in entries for value in fields.values()]


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("tokenize", {}, None),
        ("tokenize", {"prompt": "a", "messages": HELLO}, None),
        ("tokenize", {"prompt": ["a"]}, "prompt"),
        ("tokenize", {"prompt": "a" * (1 << 19) + "b"}, "prompt"),
        ("tokenize", {"messages": []}, "messages"),
        ("tokenize", {"messages": HELLO, "add_generation_prompt": True,
                      "continue_final_message": True}, "continue_final_message"),
        ("tokenize", {"messages": HELLO, "chat_template": "x"}, "chat_template"),
        ("tokenize", {"messages": HELLO, "chat_template_kwargs": {"x": 1}},
         "chat_template_kwargs"),
        ("detokenize", {}, "tokens"),
        ("detokenize", {"tokens": ["a"]}, "tokens.0"),
        ("detokenize", {"tokens": [-1]}, "tokens.0"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_r21_the_parameter_is_named(
    key: str, path: str, fields: dict[str, Any], param: str | None
) -> None:
    answer = post_raw(json.dumps({"model": "echo", **fields}), key, f"/v1/{path}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_another_persons_model_is_unknown(key: str) -> None:
    answer = post_raw(json.dumps({"model": "gpt-9", "prompt": "a"}), key, "/v1/tokenize")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
