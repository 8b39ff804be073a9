"""The official `ollama` client, and plain curl, against the running product."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import ollama
import pytest
from ollama import AsyncClient, Client, ResponseError
from pydantic import BaseModel

from tests.live import Site
from tests.running.talking import STARTER

pytestmark = pytest.mark.live

HELLO = {"role": "user", "content": "Say hello to Bob."}
SHORT = {"num_predict": 12, "seed": 7}
CALLING = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>'
COUNT = """
from chatsite.gateway.models import Generation
print(Generation.objects.filter(status="live").count())
"""
EMBEDDER = """
from chatsite.catalogue.models import Model
starter = Model.objects.get(name="smollm2-135m-instruct")
Model.objects.get_or_create(name="vectors", defaults={
    "engine": "llamacpp-embed", "source": starter.source,
    "settings": {"context_length": 512, "threads": 1}})
"""


class Person(BaseModel):
    name: str
    age: int


def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
      a: the first
      b: the second
    """
    return a + b


@pytest.fixture
def client(site: Site, key: str) -> Iterator[Client]:
    client = Client(host=site.url, headers={"Authorization": f"Bearer {key}"})
    yield client
    client._client.close()


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def wait_idle(site: Site) -> None:
    until = time.monotonic() + 20
    while int(site.shell(COUNT)):
        assert time.monotonic() < until, "a generation goes on although nobody reads it"
        time.sleep(0.2)


def test_it_works(client: Client) -> None:
    names = {model.model for model in client.list().models}
    assert names >= {f"{STARTER}:latest", "echo:latest"}
    whole = client.chat(STARTER, [HELLO], options=SHORT)
    assert whole.message.content
    assert (whole.done, whole.done_reason, whole.eval_count) == (True, "length", 12)
    assert whole.prompt_eval_count
    assert whole.total_duration
    assert whole.eval_duration
    assert whole.total_duration >= whole.eval_duration > 0
    again = client.chat(f"{STARTER}:latest", [HELLO], options=SHORT)
    assert again.message.content == whole.message.content


def test_a_stream_says_the_same_in_pieces(client: Client) -> None:
    whole = client.chat(STARTER, [HELLO], options=SHORT)
    parts = list(client.chat(STARTER, [HELLO], options=SHORT, stream=True))
    assert len(parts) > 1
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert (parts[-1].done_reason, parts[-1].eval_count) == ("length", 12)
    assert {part.model for part in parts} == {STARTER}


async def test_the_async_client(site: Site, key: str) -> None:
    client = AsyncClient(host=site.url, headers={"Authorization": f"Bearer {key}"})
    texts = [f"stream {number} goes on to its end" for number in range(8)]

    async def read(text: str) -> str:
        stream = await client.chat("echo", said(text), stream=True)
        return "".join([part.message.content or "" async for part in stream])

    assert await asyncio.gather(*(read(text) for text in texts)) == texts
    answer = await client.generate("echo", "one two")
    assert answer.response == "one two"
    await client._client.aclose()


def test_generate(client: Client) -> None:
    assert client.generate("echo", "one two").response == "one two"
    raw: dict[str, Any] = {"raw": True, "options": {"temperature": 0, "num_predict": 6}}
    whole = client.generate(STARTER, "One, two,", **raw)
    assert "three" in whole.response
    parts = list(client.generate(STARTER, "One, two,", stream=True, **raw))
    assert "".join(part.response or "" for part in parts) == whole.response
    told = client.generate(STARTER, "Who are you?", system="You are a cat.", options=SHORT)
    assert told.response


def test_an_empty_request_loads_the_model(client: Client) -> None:
    loaded = client.generate(STARTER)
    assert (loaded.done, loaded.done_reason, loaded.response) == (True, "load", "")
    running = {model.model: model for model in client.ps().models}
    assert running[f"{STARTER}:latest"].size
    assert client.chat(STARTER, []).done_reason == "load"
    assert client.generate(STARTER, keep_alive=0).done_reason == "unload"


def test_a_schema_binds_the_answer(client: Client) -> None:
    answer = client.chat(
        STARTER,
        said("Tell me about Bob, who is 31 years old."),
        format=Person.model_json_schema(),
        options={"temperature": 0, "num_predict": 120},
    )
    assert "Bob" in Person.model_validate_json(answer.message.content or "").name
    free = client.generate(
        STARTER, "Some JSON:", format="json", options={"num_predict": 120, "seed": 3}
    )
    assert free.done_reason == "length" or isinstance(json.loads(free.response or ""), dict)


def test_a_tool_goes_round(client: Client) -> None:
    """The echo makes the call that it is told to make."""
    messages: list[Any] = said(CALLING)
    answer = client.chat("echo", messages, tools=[add])
    (call,) = answer.message.tool_calls or ()
    assert (call.function.name, dict(call.function.arguments)) == ("add", {"a": 2, "b": 3})
    (streamed,) = [
        call
        for part in client.chat("echo", messages, tools=[add], stream=True)
        for call in part.message.tool_calls or ()
    ]
    assert streamed.function.arguments == call.function.arguments
    result = str(add(**call.function.arguments))
    messages += [answer.message, {"role": "tool", "tool_name": "add", "content": result}]
    messages += said("So it is five.")
    assert client.chat("echo", messages, tools=[add]).message.content == "So it is five."


def test_reasoning_stands_apart(client: Client) -> None:
    answer = client.chat("echo", said("<think>hm</think>yes"), think=True)
    assert (answer.message.thinking, answer.message.content) == ("hm", "yes")
    parts = list(client.generate("echo", "<think>hm</think>yes", stream=True))
    assert "".join(part.thinking or "" for part in parts) == "hm"
    assert "".join(part.response or "" for part in parts) == "yes"


def test_log_probabilities(client: Client) -> None:
    answer = client.chat(STARTER, [HELLO], options=SHORT, logprobs=True, top_logprobs=2)
    assert answer.logprobs
    assert len(answer.logprobs) == 12
    assert all(len(each.top_logprobs or ()) == 2 for each in answer.logprobs)


def test_vectors(site: Site, client: Client) -> None:
    site.shell(EMBEDDER)
    found = client.embed("vectors", ["one", "two"])
    assert len(found.embeddings) == 2
    assert found.prompt_eval_count
    assert sum(value * value for value in found.embeddings[0]) == pytest.approx(1, abs=1e-3)
    single = client.embed("vectors:latest", "one").embeddings
    assert list(single[0]) == pytest.approx(list(found.embeddings[0]), abs=1e-3)
    old = client.embeddings("vectors", "one").embedding
    assert list(old) == pytest.approx(list(single[0]), abs=1e-3)
    assert list(client.embed("vectors", "").embeddings) == []
    with pytest.raises(ResponseError) as refused:
        client.embed(STARTER, "one")
    assert refused.value.status_code == 400


def test_a_model_is_shown(client: Client) -> None:
    shown = client.show(STARTER)
    assert shown.details
    assert shown.details.quantization_level == "Q4_1"
    assert shown.capabilities == ["completion", "tools"]
    assert shown.modelinfo
    assert 8192 in shown.modelinfo.values()


def test_errors_are_the_clients_own(site: Site, client: Client, key: str) -> None:
    for ask in (client.chat, client.generate, client.show, client.embed):
        with pytest.raises(ResponseError, match="'nobody' not found") as missing:
            ask("nobody")
        assert missing.value.status_code == 404
    with pytest.raises(ResponseError, match="not found"):
        list(client.chat("nobody", [HELLO], stream=True))
    with pytest.raises(ResponseError, match="insert"):
        client.generate("echo", "x", suffix="y")
    wrong = Client(host=site.url, headers={"Authorization": f"Bearer {key}x"})
    with pytest.raises(ResponseError) as refused:
        wrong.list()
    assert refused.value.status_code == 401
    wrong._client.close()


def test_a_program_on_this_machine_needs_no_key(site: Site, key: str) -> None:
    bare = Client(host=site.url)
    assert bare.chat("echo", said("one two")).message.content == "one two"
    for change in (bare.delete, bare.pull):
        with pytest.raises(ResponseError) as refused:
            change("echo")
        assert refused.value.status_code == 403
    bare._client.close()


def test_an_admin_pulls_and_deletes(site: Site, client: Client) -> None:
    assert client.pull("echo").status == "success"
    assert [part.status for part in client.pull("echo", stream=True)][-1] == "success"
    with pytest.raises(ResponseError, match="owner/name:Q4_K_M"):
        client.pull("llama3.2")
    site.shell(EMBEDDER.replace('"vectors"', '"spare"'))
    assert client.delete("spare").status == "success"
    assert "spare:latest" not in {model.model for model in client.list().models}


def test_a_reader_that_leaves_stops_the_answer(site: Site, client: Client) -> None:
    wait_idle(site)
    asked = said("Count from one to ten thousand, one number on each line.")
    stream = client.chat(STARTER, asked, stream=True, options={"temperature": 0})
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    wait_idle(site)


def curl(site: Site, path: str, body: dict[str, Any] | None = None, *options: str) -> str:
    data = [] if body is None else ["-d", json.dumps(body)]
    command = ["curl", "-sS", "--max-time", "60", *options, site.url + path, *data]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_plain_curl(site: Site, key: str) -> None:
    """It says that JSON is a form, and sends no key."""
    asked = {"model": "echo", "messages": said("one two three")}
    lines = [json.loads(line) for line in curl(site, "/api/chat", asked).splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == "one two three"
    assert [line["done"] for line in lines].count(True) == 1
    whole = json.loads(
        curl(site, "/api/generate", {"model": "echo", "prompt": "x", "stream": False})
    )
    assert (whole["response"], whole["done_reason"]) == ("x", "stop")
    assert "version" in json.loads(curl(site, "/api/version"))
    assert json.loads(curl(site, "/api/chat", {})) == {
        "error": "Missing required parameter: 'model'."
    }
    head = curl(site, "/", None, "-I")
    assert head.startswith("HTTP/1.1 200")


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_too_long_is_refused_where_nothing_may_be_left_out(
    site: Site, key: str, stream: bool
) -> None:
    asked = {"model": "echo", "messages": said("x " * 4999), "truncate": False, "stream": stream}
    body = json.dumps(asked)
    done = subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code}", "--data-binary", "@-", site.url + "/api/chat"],
        input=body, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told, status = done.stdout.rsplit("\n", 1)
    assert status == "400"
    assert "5000" in json.loads(told)["error"]


def test_the_clients_own_types_take_every_line(site: Site, key: str) -> None:
    asked = {"model": STARTER, "messages": [HELLO], "options": SHORT}
    for line in curl(site, "/api/chat", asked).splitlines():
        ollama.ChatResponse.model_validate_json(line, strict=True)
    for path, kind in (("tags", ollama.ListResponse), ("ps", ollama.ProcessResponse)):
        kind.model_validate_json(curl(site, f"/api/{path}"))
