"""Calls of `/v1/responses` within the tests' own process, checked by the official types."""

from __future__ import annotations

import json
from typing import Any

from django.test import AsyncClient
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from chatsite.api.waiting import in_thread
from chatsite.steward.rounds import Steward

RESPONSES = "/v1/responses"
KINDS: Any = ResponseStreamEvent
EVENT: TypeAdapter[Any] = TypeAdapter(KINDS)


class Api:
    """What one key can ask. Bodies come back as they are sent, errors included."""

    def __init__(self, key: str) -> None:
        self.headers = {"Authorization": f"Bearer {key}"}

    async def post(self, path: str, fields: dict[str, Any] | None = None) -> tuple[int, Any]:
        answer = await self.send(path, fields or {})
        return answer.status_code, json.loads(answer.content)

    async def get(self, path: str, **query: Any) -> tuple[int, Any]:
        answer: Any = await AsyncClient().get(path, query, headers=self.headers)
        return answer.status_code, json.loads(answer.content)

    async def delete(self, path: str) -> tuple[int, Any]:
        answer: Any = await AsyncClient().delete(path, headers=self.headers)
        return answer.status_code, json.loads(answer.content)

    async def respond(self, said: Any, **fields: Any) -> Any:
        """A response of the echo model, as JSON."""
        status, body = await self.post(RESPONSES, {"model": "echo", "input": said, **fields})
        assert status == 200, body
        Response.model_validate_json(json.dumps(body), strict=True)
        return body

    async def stream(self, said: Any, **fields: Any) -> list[dict[str, Any]]:
        asked = {"model": "echo", "input": said, "stream": True, **fields}
        return await events(await self.send(RESPONSES, asked))

    async def resume(self, id: str, **query: Any) -> list[dict[str, Any]]:
        asked = {"stream": "true", **query}
        answer: Any = await AsyncClient().get(f"{RESPONSES}/{id}", asked, headers=self.headers)
        return await events(answer)

    async def send(self, path: str, fields: dict[str, Any]) -> Any:
        return await AsyncClient().post(
            path, json.dumps(fields), content_type="application/json", headers=self.headers
        )


async def events(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.content
    body = b"".join([part async for part in answer]).decode()
    found = []
    for block in body.split("\n\n"):
        if block and not block.startswith(":"):
            name, _, data = block.partition("\n")
            event = json.loads(data.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            EVENT.validate_json(json.dumps(event), strict=True)
            found.append(event)
    return found


async def save() -> None:
    """What the steward does in a round."""
    await in_thread(Steward().round)


def text(response: dict[str, Any]) -> str:
    """What the official client calls `output_text`."""
    return Response.model_validate(response).output_text
