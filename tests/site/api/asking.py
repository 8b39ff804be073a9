"""Calls that are really answered, in the loop of a test, and what a client makes of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from django.test import AsyncClient

PATH = "/v1/chat/completions"


def body(text: str = "one two three", **fields: Any) -> dict[str, Any]:
    return {"model": "echo", "messages": [{"role": "user", "content": text}], **fields}


async def post(key: str, fields: dict[str, Any], path: str = PATH, **headers: str) -> Any:
    client = AsyncClient(raise_request_exception=False)
    sent = {"Authorization": f"Bearer {key}", **headers}
    return await client.post(path, json.dumps(fields), "application/json", headers=sent)


async def read(answer: Any) -> bytes:
    """The whole body, of a stream as well."""
    if not answer.streaming:
        return bytes(answer.content)
    return b"".join([bytes(chunk) async for chunk in answer.streaming_content])


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while True:
        if await condition():
            return
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.02)


def said(raw: bytes) -> str:
    """The text, of a body or of a stream."""
    if raw.startswith(b"{"):
        return str(json.loads(raw)["choices"][0]["message"]["content"])
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks(raw) for choice in chunk["choices"]
    )


def chunks(raw: bytes) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in raw.decode().split("\n\n")]
    return [json.loads(line) for line in lines if line.startswith("{")]
