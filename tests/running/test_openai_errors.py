"""What goes wrong is the official client's own exception, with the status, the code and the
parameter; what can be tried again is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.live import Site, free_port
from tests.running.asking import ENDLESS, HELLO, said, wait_idle
from tests.running.talking import STARTER

pytestmark = pytest.mark.live
# Weights that are not there.
BROKEN = """
from chatsite.catalogue.models import Model
Model.objects.get_or_create(name="broken", engine="llamacpp", source={"path": "gone.gguf"})
"""
MENDED = """
from chatsite.catalogue.models import Model
Model.objects.filter(name="broken").delete()
"""
ALICE = """
from chatsite.accounts.models import User
User.objects.filter(username="bob").update(is_active=False)
"""


@pytest.fixture(scope="module")
def narrow() -> Iterator[tuple[Site, str]]:
    """A product in which one person may have one request at a time; with Alice's key."""
    site = Site(CHATSITE_PENDING_PER_USER="1")
    try:
        site.start()
        site.person("alice")
        yield site, site.manage("apikey", "alice").strip()
    finally:
        site.remove()


def test_it_works(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-9", messages=HELLO)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    assert missing.value.request_id
    with pytest.raises(openai.BadRequestError) as empty:
        client.chat.completions.create(model="echo", messages=[])
    assert (empty.value.param, empty.value.type) == ("messages", "invalid_request_error")
    with pytest.raises(openai.NotFoundError):
        client.files.list()
    with pytest.raises(openai.APIStatusError) as wrong:
        client.post("/models", cast_to=object)
    assert wrong.value.status_code == 405


def test_who_may_not(site: Site, key: str) -> None:
    def listed(key: str) -> Any:
        with OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0) as client:
            return client.models.list().data

    assert listed("EMPTY")
    with pytest.raises(openai.AuthenticationError) as wrong:
        listed(key + "x")
    assert wrong.value.code == "invalid_api_key"
    site.person("bob")
    disabled = site.manage("apikey", "bob").strip()
    assert listed(disabled)
    site.shell(ALICE)
    with pytest.raises(openai.AuthenticationError) as gone:
        listed(disabled)
    assert gone.value.code == "account_deactivated"


def test_a_body_that_is_too_big(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="echo", messages=said("x" * (9 << 20)))
    assert (refused.value.status_code, refused.value.code) == (413, "request_too_large")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["echo", STARTER])
def test_a_prompt_that_is_too_long_is_refused_with_the_counts(
    client: OpenAI, model: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=model, messages=said("x " * 8999), stream=stream)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")
    room = "4096" if model == "echo" else "8192"
    assert room in refused.value.message
    assert "9000" in refused.value.message or model == STARTER


@pytest.mark.parametrize(
    ("extra", "code", "param"),
    [
        ({"guided_regex": "(a"}, "bad_grammar", "guided_regex"),
        ({"guided_grammar": "root :="}, "bad_grammar", "guided_grammar"),
        ({"guided_json": {"$ref": "http://localhost/x"}}, "bad_schema", "response_format"),
        ({"chat_template_kwargs": {"thinking_budget": "much"}}, "template_kwargs_refused",
         "chat_template_kwargs"),
    ],
    ids=lambda value: str(value)[:24],
)  # fmt: skip
def test_r23_what_the_engine_room_refuses_is_the_caller_s(
    client: OpenAI, extra: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=STARTER, messages=HELLO, extra_body=extra)
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.fixture
def broken(site: Site) -> Iterator[None]:
    site.shell(BROKEN)
    yield
    site.shell(MENDED)


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("stream", [False, True])
def test_what_would_fail_again_is_not_tried_again(site: Site, key: str, stream: bool) -> None:
    with OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=3) as client:
        began = time.monotonic()
        with pytest.raises(openai.InternalServerError) as failed:
            client.chat.completions.create(model="broken", messages=HELLO, stream=stream)
    assert failed.value.code in {"model_load_failed", "model_missing"}
    assert "gone" not in failed.value.message
    assert failed.value.response.headers["x-should-retry"] == "false"
    assert time.monotonic() - began < 20


def test_a_place_that_comes_free_is_taken(narrow: tuple[Site, str]) -> None:
    """429 with Retry-After: the client tries again by itself, and gets its answer."""
    site, key = narrow
    with OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0) as client:
        busy = client.chat.completions.create(model=STARTER, messages=HELLO, stream=True, **ENDLESS)
        next(iter(busy))
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="echo", messages=HELLO)
        assert refused.value.code == "too_many_requests"
        assert 0 < float(refused.value.response.headers["retry-after"]) <= 60
        threading.Timer(1, busy.close).start()
        patient = client.with_options(max_retries=2)
        raw = patient.chat.completions.with_raw_response.create(
            model="echo", messages=said("at last")
        )
    assert raw.retries_taken >= 1
    assert raw.parse().choices[0].message.content == "at last"


def test_raw_headers(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="echo", messages=HELLO)
    assert raw.headers["content-type"] == "application/json"
    assert raw.headers["cache-control"] == "no-store"
    assert raw.request_id
    assert raw.request_id.startswith("req_")
    with client.chat.completions.with_streaming_response.create(
        model="echo", messages=HELLO, stream=True
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert list(answer.iter_lines())[-2:] == ["data: [DONE]", ""]


def test_a_client_that_waits_no_longer_stops_the_answer(site: Site, client: OpenAI) -> None:
    wait_idle(site)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=1).chat.completions.create(
            model=STARTER, messages=HELLO, **ENDLESS
        )
    wait_idle(site)


async def test_nobody_is_there() -> None:
    async with AsyncOpenAI(
        base_url=f"http://127.0.0.1:{free_port()}/v1", api_key="x", max_retries=1
    ) as client:
        with pytest.raises(openai.APIConnectionError):
            async with asyncio.timeout(20):
                await client.models.list()
