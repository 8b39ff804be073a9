"""A server that sends the chunks of a chat to whoever comes, paced, and does nothing else: what it
cannot do, no server in Python can.

python -m tests.benchmarks.bare_sse PORT TOKENS RATE MERGED
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)
CHUNK = {
    "id": "chatcmpl-0123456789abcdef0123456789abcdef",
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": "clock",
    "system_fingerprint": None,
}


class Clock:
    """Ticks for all readers at once, as an engine does."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self.tick = asyncio.Event()

    async def run(self) -> None:
        due = time.monotonic()
        while True:
            due = max(due + 1 / self._rate, time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.tick.set()
            self.tick = asyncio.Event()


async def serve(port: int, tokens: int, rate: float, merged: int) -> None:
    """`merged` tokens travel together."""
    clock = Clock(rate)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        words = ""
        for at in range(1, tokens + 1):
            await clock.tick.wait()
            words += f"{time.monotonic():.4f} "
            if at % merged == 0 or at == tokens:
                writer.write(packed(words))
                await writer.drain()
                words = ""
        writer.write(chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        await clock.run()


def packed(words: str) -> bytes:
    choice = {"index": 0, "delta": {"content": words}, "logprobs": None, "finish_reason": None}
    data = json.dumps({**CHUNK, "choices": [choice]}, ensure_ascii=False, separators=(",", ":"))
    return chunked(f"data: {data}\n\n".encode())


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


if __name__ == "__main__":
    port, tokens, rate, merged = sys.argv[1:]
    asyncio.run(serve(int(port), int(tokens), float(rate), int(merged)))
