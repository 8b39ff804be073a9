"""How the tests of the socket talk: a browser's handshake, and a worker's entries in the log."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client

from chatsite.asgi import application
from inference import lease, stream
from inference.contract import Finish, Progress, Tokens

HOST = b"localhost:8000"


def cookie(client: Client) -> bytes:
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}".encode()


def call(client: Client | None = None, **headers: str | None) -> WebsocketCommunicator:
    """A handshake as a browser makes it; a header that is None is left away."""
    sent: dict[str, str | None] = {
        "host": HOST.decode(),
        "origin": f"http://{HOST.decode()}",
        "cookie": cookie(client).decode() if client else None,
        **headers,
    }
    pairs = [(name.encode(), value.encode()) for name, value in sent.items() if value is not None]
    return WebsocketCommunicator(application, "/ws/", headers=pairs)


@asynccontextmanager
async def opened(client: Client, **headers: str | None) -> AsyncIterator[WebsocketCommunicator]:
    socket = call(client, **headers)
    connected, _ = await socket.connect(timeout=5)
    assert connected
    try:
        yield socket
    finally:
        await socket.disconnect()


async def hear(socket: WebsocketCommunicator, kind: str, seconds: float = 5) -> dict[str, Any]:
    """The next frame of this type; others are passed over."""
    until = time.monotonic() + seconds
    while True:
        frame = json.loads(await socket.receive_from(max(0.01, until - time.monotonic())))
        if frame["type"] == kind:
            return dict(frame)


async def closed(socket: WebsocketCommunicator, seconds: float = 5) -> int:
    """The code with which the socket is closed; what it says before is passed over."""
    until = time.monotonic() + seconds
    while True:
        message = await socket.receive_output(max(0.01, until - time.monotonic()))
        if message["type"] == "websocket.close":
            return int(message["code"])


async def silent(socket: WebsocketCommunicator, kind: str, seconds: float = 0.4) -> bool:
    """Whether no such frame comes. Not by a timeout of `hear`: that ends the application."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not await socket.receive_nothing(0.1):
            frame = json.loads(await socket.receive_from())
            if frame["type"] == kind:
                return False
    return True


class Reader:
    """What a page does with the frames: text in order, each position once."""

    def __init__(self, socket: WebsocketCommunicator, id: str) -> None:
        self.socket, self.id = socket, id
        self.text, self.at = "", 0
        self.frames = 0

    async def follow(self) -> None:
        await self.socket.send_json_to({"type": "follow", "generation": self.id, "cursor": self.at})

    async def read(self, until: int) -> None:
        """Read deltas up to a position; a gap or a repeat fails."""
        while self.at < until:
            frame = await hear(self.socket, "delta")
            self.frames += 1
            if frame.get("replace"):
                self.text = ""
            else:
                assert frame["from"] == self.at, frame
            self.text += frame["text"]
            self.at = frame["to"]


class Worker:
    """Writes a log as a worker does, one word a token."""

    def __init__(self, broker: redis.Redis, id: str, model: str = "echo") -> None:
        self.broker = broker
        claim = lease.claim(broker, model, 60_000)
        assert claim is not None
        assert claim.id == id
        self.claim, self.at = claim, 0

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            self.at += 1
            event = Tokens(self.claim.id, self.at, (self.at,), f"w{self.at} ")
            assert stream.append(self.broker, [(self.claim.fence, event)]) in ([0], [1])

    def tell(self, phase: str, fraction: float) -> None:
        stream.report(self.broker, self.claim.fence, Progress(self.claim.id, phase, fraction))

    def end(self, reason: str = "stop", error: dict[str, Any] | None = None) -> None:
        finish = Finish(self.claim.id, reason, error=error)
        assert stream.finish(self.broker, self.claim.fence, finish) == 0


def words(count: int) -> str:
    return "".join(f"w{n} " for n in range(1, count + 1))


async def until(condition: Any, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.02)
