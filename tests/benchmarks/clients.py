"""Programs that talk to a `/v1/chat/completions`, ours or another's, with the standard library
alone: each is a thread with a stream."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.measuring import NAME, question

PATIENCE = 300


@dataclass(slots=True)
class Reply:
    """One streamed answer, with times as `time.perf_counter` has them. `trouble` is "" where it
    came whole."""

    asked: float
    # When each piece of text came, and how many characters it had.
    times: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    tokens: int = 0
    # It has said why it ended; an answer that is broken off does not.
    whole: bool = False
    trouble: str = ""

    def written(self, begin: float, end: float) -> float:
        """Tokens that came between two moments; pieces may hold several, so by their sizes."""
        pieces = zip(self.times, self.sizes, strict=True)
        inside = sum(size for at, size in pieces if begin < at <= end)
        return self.tokens * inside / max(1, sum(self.sizes))


@dataclass(frozen=True, slots=True)
class Load:
    """What some clients got in one go."""

    replies: list[Reply]
    seconds: float

    @property
    def rate(self) -> float:
        """Tokens per second, reading of the prompts included."""
        return sum(reply.tokens for reply in self.replies) / self.seconds

    @property
    def decoding(self) -> float:
        """Tokens per second while all of them wrote."""
        begin = max(reply.times[0] for reply in self.replies)
        end = min(reply.times[-1] for reply in self.replies)
        assert end > begin, "They did not write at the same time."
        return sum(reply.written(begin, end) for reply in self.replies) / (end - begin)

    @property
    def troubles(self) -> list[str]:
        return [reply.trouble for reply in self.replies if reply.trouble]


def put_load(url: str, clients: int, each: int, max_tokens: int, spread: int = 0) -> Load:
    """So many clients at once, each with so many questions, one after the other. Answers have
    `max_tokens`, or up to `spread` more or less: the same ones in every load."""

    def talk(client: int) -> list[Reply]:
        turns = range(client * each, (client + 1) * each)
        # Multiples of a number that shares no factor with the span go through all of it.
        lengths = [max_tokens - spread + turn * 37 % (2 * spread + 1) for turn in turns]
        return [ask(url, question(), length) for length in lengths]

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        futures = [pool.submit(talk, client) for client in range(clients)]
        replies = [reply for future in futures for reply in future.result()]
    return Load(replies, time.perf_counter() - start)


def ask(url: str, text: str, max_tokens: int) -> Reply:
    """A greedy answer of exactly so many tokens, where the server knows `ignore_eos`."""
    body = {
        "model": NAME,
        "messages": [{"role": "user", "content": text}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": max_tokens,
        "temperature": 0,
        "ignore_eos": True,
    }
    reply = Reply(time.perf_counter())
    try:
        for chunk in stream(url, json.dumps(body)):
            hear(reply, chunk)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reply.trouble = f"{type(error).__name__}: {error}"
    if not reply.whole and not reply.trouble:
        reply.trouble = "it was broken off"
    # A server that tells no usage sends a token with each piece.
    reply.tokens = reply.tokens or len(reply.times)
    return reply


def hear(reply: Reply, chunk: dict[str, Any]) -> None:
    if "error" in chunk:
        reply.trouble = str(chunk["error"])
    for choice in chunk.get("choices", ()):
        text = choice["delta"].get("content") or ""
        if text:
            reply.times.append(time.perf_counter())
            reply.sizes.append(len(text))
        reply.whole = reply.whole or bool(choice.get("finish_reason"))
    if usage := chunk.get("usage"):
        reply.tokens = usage["completion_tokens"]


def stream(url: str, body: str) -> Iterator[dict[str, Any]]:
    """The chunks of an event stream; ValueError where it is refused or cut off."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"{parts.path}/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"{answer.status} {answer.read()[:300]!r}")
        for line in answer:
            if line.startswith(b"data: [DONE]"):
                return
            if line.startswith(b"data: "):
                yield json.loads(line[6:])
        raise ValueError("The stream has no end.")
    finally:
        connection.close()
