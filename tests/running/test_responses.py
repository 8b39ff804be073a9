"""Responses by the official `openai` client against the running product: whole, as streams, in the
background, cut and resumed, cancelled, one after the other, and with functions."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from tests.live import Site
from tests.running.talking import STARTER

pytestmark = pytest.mark.live
TOOL: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
LONG: dict[str, Any] = {"model": STARTER, "input": "Count.", "max_output_tokens": 200}
ENDLESS = {"ignore_eos": True}
LIVE = """
from chatsite.gateway.models import Generation
print(Generation.objects.filter(status="live").count())
"""


class Answer(BaseModel):
    city: str
    warm: bool


@pytest.fixture
def client(site: Site, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0) as client:
        yield client


def wait_idle(site: Site) -> None:
    until = time.monotonic() + 20
    while int(site.shell(LIVE)):
        assert time.monotonic() < until, "a generation goes on although nobody reads it"
        time.sleep(0.2)


def ended(client: OpenAI, id: str) -> Response:
    until = time.monotonic() + 60
    while (found := client.responses.retrieve(id)).status in {"queued", "in_progress"}:
        assert time.monotonic() < until
        time.sleep(0.2)
    return found


def test_it_works(client: OpenAI) -> None:
    made = client.responses.create(
        model=STARTER, input="Say hello to Bob.", max_output_tokens=12, metadata={"a": "b"}
    )
    assert made.output_text
    assert made.usage
    assert made.usage.output_tokens <= 12
    assert client.responses.retrieve(made.id) == made
    items: Any = client.responses.input_items.list(made.id)
    assert items.data[0].content[0].text == "Say hello to Bob."
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_a_stream_adds_up(client: OpenAI) -> None:
    with client.responses.stream(model=STARTER, input="Hello!", max_output_tokens=20) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type in {"response.completed", "response.incomplete"}
    assert last.response.output_text == said  # type: ignore[union-attr]


def test_one_goes_on_from_another(client: OpenAI) -> None:
    first = client.responses.create(model="echo", input="one two")
    second = client.responses.create(
        model="echo", input="three", previous_response_id=first.id, instructions="Be brief."
    )
    items: Any = client.responses.input_items.list(second.id, order="asc", limit=2)
    told = [item.content[0].text for item in items]
    # The client asks for the next page by itself.
    assert told == ["one two", "one two", "three"]


async def test_a_background_stream_is_resumed_where_it_was_cut(site: Site, key: str) -> None:
    """Several times, each at once after a few events; then from anywhere, when it is over."""
    async with AsyncOpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0) as client:
        events: list[Any] = []
        stream = await client.responses.create(
            **LONG, stream=True, background=True, extra_body=ENDLESS
        )
        for count in (3, 40, 90, 10**6):
            async for event in stream:
                events.append(event)
                if len(events) >= count:
                    break
            await stream.close()
            id, cursor = events[0].response.id, events[-1].sequence_number
            if events[-1].type != "response.incomplete":
                stream = await client.responses.retrieve(id, stream=True, starting_after=cursor)
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[-1].type == "response.incomplete"
        said = "".join(each.delta for each in events if each.type == "response.output_text.delta")
        assert said == events[-1].response.output_text
        for after in (0, 7, len(events) // 2, len(events) - 2):
            again = await client.responses.retrieve(id, stream=True, starting_after=after)
            assert [event async for event in again] == events[after + 1 :]


def test_the_background_needs_no_reader_and_no_web_process(site: Site, client: OpenAI) -> None:
    made = client.responses.create(**LONG, background=True, extra_body=ENDLESS)
    assert made.status == "queued"
    site.kill("web")
    site.wait_ready()
    found = ended(client, made.id)
    assert found.status == "incomplete"
    assert found.incomplete_details
    assert found.incomplete_details.reason == "max_output_tokens"
    assert found.output_text
    with client.responses.stream(response_id=made.id) as stream:
        events = list(stream)
    assert events[-1].response == found  # type: ignore[union-attr]


def test_it_is_cancelled(site: Site, client: OpenAI) -> None:
    wait_idle(site)
    made = client.responses.create(
        model=STARTER, input="Go on.", background=True, extra_body=ENDLESS, max_output_tokens=4000
    )
    until = time.monotonic() + 30
    while client.responses.retrieve(made.id).status == "queued":
        assert time.monotonic() < until
        time.sleep(0.1)
    assert client.responses.cancel(made.id).status == "cancelled"
    wait_idle(site)
    assert client.responses.cancel(made.id) == client.responses.retrieve(made.id)
    other = client.responses.create(model="echo", input="Hello")
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(other.id)


def test_who_leaves_stops_what_is_not_in_the_background(site: Site, client: OpenAI) -> None:
    wait_idle(site)
    stream = client.responses.create(
        model=STARTER, input="Go on.", stream=True, extra_body=ENDLESS, max_output_tokens=4000
    )
    next(iter(stream))
    stream.close()
    wait_idle(site)


async def test_a_caller_that_leaves_while_it_waits_stops_it(site: Site, key: str) -> None:
    await asyncio.to_thread(wait_idle, site)
    async with AsyncOpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await client.responses.create(
                    model=STARTER, input="Go on.", extra_body=ENDLESS, max_output_tokens=4000
                )
    await asyncio.to_thread(wait_idle, site)


def test_a_function_is_called_and_answers(client: OpenAI) -> None:
    """Forced, since a model of this size calls nothing of its own."""
    asked: dict[str, Any] = {"model": STARTER, "tools": [TOOL], "max_output_tokens": 60}
    choice: Any = {"type": "function", "name": "weather"}
    first = client.responses.create(**asked, input="The weather in Rome?", tool_choice=choice)
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert json.loads(call.arguments)["city"] in {"Paris", "Rome"}
    given: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = client.responses.create(
        **asked, input=[given], previous_response_id=first.id, tool_choice="none"
    )
    assert second.output_text


def test_an_answer_has_the_form_of_a_model(client: OpenAI) -> None:
    parsed = client.responses.parse(
        model=STARTER, input="Is it warm in Rome?", text_format=Answer, max_output_tokens=80
    )
    assert isinstance(parsed.output_parsed, Answer)


def test_errors_are_the_clients_own_classes(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="echo", input="x " * 4999)
    assert refused.value.code == "context_length_exceeded"
    assert refused.value.param == "input"
    with pytest.raises(openai.BadRequestError) as tools:
        client.responses.create(model="echo", input="x", tools=[{"type": "web_search"}])
    assert tools.value.param == "tools.0.type"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_" + "0" * 32)


def test_completions_are_stored(client: OpenAI) -> None:
    made = client.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": "keep"}], store=True,
        metadata={"run": "7"},
    )  # fmt: skip
    (found,) = list(client.chat.completions.list(metadata={"run": "7"}))
    assert found.choices == made.choices
    assert client.chat.completions.update(made.id, metadata={"run": "8"}).metadata == {"run": "8"}
    assert [m.content for m in client.chat.completions.messages.list(made.id)] == ["keep"]
    assert client.chat.completions.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(made.id)
