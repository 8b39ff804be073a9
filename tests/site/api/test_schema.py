"""The schema says what there is: every address and method, every parameter, and the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pydantic import BaseModel

from chatsite.api import operations, schema, words
from chatsite.api.chat import ChatBody
from chatsite.api.shapes import ChatCompletion, Error, ModelEntry, ModelList, TextCompletion
from inference.pool import Pool
from tests.site.api.conftest import post_raw
from tests.site.api.engine_room import good, listening, worker

__all__ = ["listening", "worker"]

REGISTER = "describe it in OPERATIONS of chatsite/api/operations.py"

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "now", "parameters": {}}}
CALL = '<think>Why?</think>Look: <tool_call>{"name": "now", "arguments": {}}</tool_call>'


@pytest.fixture
def document(key: str) -> dict[str, Any]:
    answer = Client().get("/v1/schema", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(ref := value.get("$ref"), str):
            yield ref
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def find(document: dict[str, Any], ref: str) -> Any:
    value: Any = document
    for step in ref.removeprefix("#/").split("/"):
        value = value[step]
    return value


def test_it_works(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "http://testserver"}]
    chat = document["paths"]["/v1/chat/completions"]["post"]
    body = find(document, chat["requestBody"]["content"]["application/json"]["schema"]["$ref"])
    assert set(body["properties"]) == set(ChatBody.model_fields)
    assert body["required"] == ["messages", "model"]
    assert body["properties"]["temperature"]["maximum"] == 2
    assert body["properties"]["temperature"]["description"]
    assert "text/event-stream" in chat["responses"]["200"]["content"]
    assert document["paths"]["/v1/models/{name}"]["get"]["parameters"][0]["name"] == "name"


def test_every_address_is_described() -> None:
    found = {(str(pattern.name), method) for pattern, method in operations.found()}
    assert found - operations.OPERATIONS.keys() == set(), REGISTER
    assert operations.OPERATIONS.keys() - found == set(), "it is gone"
    assert ("v1-embeddings", "post") in found


def test_every_post_says_what_it_reads() -> None:
    without = {each.name for each in operations.told() if each.method == "post" and not each.body}
    # They read nothing.
    assert without <= {"v1-response-cancel"}


def test_every_name_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert len(found) > 15
    for ref in found:
        assert find(document, ref)


def bodies() -> list[str]:
    """The bodies and what stands inside them, but no answers."""
    known, found = schema.definitions(), []
    waiting = [schema.name_of(each.body) for each in operations.told() if each.body]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.append(name)
            waiting += [ref.removeprefix(schema.REF) for ref in references(known[name])]
    return sorted(found)


def test_every_parameter_has_a_line() -> None:
    known = schema.definitions()
    assert len(bodies()) > 8
    untold = [
        f"{name}.{parameter}"
        for name in bodies()
        for parameter in known[name].get("properties", {})
        if not words.about(name, parameter)
    ]
    assert untold == [], "give it a line in chatsite/api/words.py"


def test_r14_a_session_is_no_key(bob_client: Client) -> None:
    assert bob_client.get("/v1/schema").status_code == 401


def get(key: str, path: str) -> Any:
    return Client().get(path, headers={"Authorization": f"Bearer {key}"}).json()


def test_answers_are_what_it_says(key: str) -> None:
    """Those that need no engine; the others are checked where they are asked for."""
    told: list[tuple[type[BaseModel], Any]] = [
        (ModelList, get(key, "/v1/models")),
        (ModelEntry, get(key, "/v1/models/echo")),
        (Error, get(key, "/v1/models/none")),
        (Error, post_raw("{}", key).json()),
        (Error, get("cs-no", "/v1/models")),
    ]
    for shape, answer in told:
        shape.model_validate(answer)


@pytest.mark.django_db(transaction=True)
async def test_written_answers_are_what_it_says(key: str, worker: Pool, listening: None) -> None:
    asked: dict[str, Any] = {"model": "echo", "n": 2, "logprobs": True, "top_logprobs": 1}
    asked["messages"] = [{"role": "user", "content": CALL}]
    chat = await good("/v1/chat/completions", key, **asked, tools=[TOOL])
    told = ChatCompletion.model_validate(chat)
    assert told.choices[1].message.tool_calls
    old = await good("/v1/chat/completions", key, **asked, functions=[TOOL["function"]])
    assert ChatCompletion.model_validate(old).choices[0].message.function_call
    text = await good("/v1/completions", key, model="echo", prompt=["One", "Two"], logprobs=1)
    assert len(TextCompletion.model_validate(text).choices) == 2
