"""A provider for tests: a real HTTP server that speaks OpenAI's API as servers do, and fails as
they do. What it does depends on the model that is asked for.

    with Upstream() as upstream:
        upstream.base_url          # http://127.0.0.1:<port>/v1
        upstream.asked             # every request that came: path, headers, body
        upstream.left.wait(5)      # a client hung up in the middle

The model `words` says the last message again, a word at a time; the others are in `MODELS`.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Json = dict[str, Any]
TOO_LONG = (
    "This model's maximum context length is 100 tokens. However, your messages resulted in 250 "
    "tokens. Please reduce the length of the messages."
)


@dataclass(frozen=True, slots=True)
class Asked:
    path: str
    headers: Mapping[str, str]
    body: Json


class Upstream:
    """`delay`: seconds between two words. `key`: without it in the header, a 401."""

    def __init__(self, certificate: Path | None = None, key: str = "", delay: float = 0.0) -> None:
        self.asked: list[Asked] = []
        self.key, self.delay = key, delay
        self.left = threading.Event()
        # Models that wait for something wait for this.
        self.released = threading.Event()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.upstream = self  # type: ignore[attr-defined]
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Upstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Server(ThreadingHTTPServer):
    # Tests send dozens at once; from a queue of five, the default, some would be thrown out.
    request_queue_size = 128
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    @property
    def upstream(self) -> Upstream:
        found: Upstream = self.server.upstream
        return found

    def log_message(self, *_: object) -> None:
        """Tests print what they want to see."""

    def do_GET(self) -> None:
        self.upstream.asked.append(Asked(self.path, dict(self.headers), {}))
        if self.path == "/v1/models" and self._known():
            data = [{"id": name, "object": "model"} for name in MODELS]
            self.whole({"object": "list", "data": data})
        elif self.path != "/v1/models":
            self.refuse(404, "Nothing here.")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.upstream.asked.append(Asked(self.path, dict(self.headers), body))
        if not self._known():
            return
        try:
            MODELS.get(body["model"], missing)(self, body)
        except (BrokenPipeError, ConnectionResetError):
            self.upstream.left.set()
            self.close_connection = True

    def _known(self) -> bool:
        key = self.upstream.key
        if key and self.headers.get("Authorization") != f"Bearer {key}":
            self.refuse(401, f"Incorrect API key: {self.headers.get('Authorization')}")
            return False
        return True

    def whole(self, data: Any, status: int = 200, **headers: str) -> None:
        raw = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", headers.pop("kind", "application/json"))
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def refuse(self, status: int, message: str, code: Any = None, **headers: str) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        self.whole({"error": error}, status, **headers)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def raw(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def event(self, data: Any) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        self.raw(f"data: {text}\n\n".encode())

    def delta(self, reason: str | None = None, logprobs: Any = None, **delta: Any) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": logprobs}
        self.event({"object": "chat.completion.chunk", "choices": [choice], "usage": None})

    def usage(self, prompt: int, completion: int, **details: Any) -> None:
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, **details}
        self.event({"object": "chat.completion.chunk", "choices": [], "usage": usage})

    def done(self) -> None:
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """No farewell at all, as when a machine dies."""
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True


def said(body: Json) -> str:
    if "prompt" in body:
        return str(body["prompt"])
    return str(body["messages"][-1]["content"])


def words(handler: Handler, body: Json) -> None:
    """The last message, a word a chunk; comments in between, as those who wait send them."""
    if not body.get("stream"):
        return whole(handler, body)
    handler.begin()
    handler.raw(b": keep-alive\n\n")
    handler.delta(role="assistant", content="")
    pieces = [f"{word} " for word in said(body).split()]
    most = body.get("max_tokens") or body.get("max_completion_tokens") or len(pieces)
    for piece in pieces[:most]:
        time.sleep(handler.upstream.delay)
        if "prompt" in body:
            handler.event({"choices": [{"index": 0, "text": piece, "finish_reason": None}]})
        else:
            handler.delta(content=piece)
    handler.delta(reason="length" if most < len(pieces) else "stop")
    if body.get("stream_options", {}).get("include_usage"):
        details = {"cached_tokens": 3}
        handler.usage(len(pieces) + 10, 2 * len(pieces[:most]), prompt_tokens_details=details)
    return handler.done()


def mutters(handler: Handler, body: Json) -> None:
    """Streams, and calls it plain text, in one piece and without a length."""
    choice = {"index": 0, "delta": {"content": said(body)}, "finish_reason": "stop"}
    handler.send_response(200)
    handler.send_header("Content-Type", "text/plain")
    handler.end_headers()
    handler.wfile.write(f"data: {json.dumps({'choices': [choice]})}".encode())
    handler.close_connection = True


def whole(handler: Handler, body: Json) -> None:
    message = {"role": "assistant", "content": said(body)}
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    handler.whole({"object": "chat.completion", "choices": [choice], "usage": usage})


def thinks(handler: Handler, body: Json) -> None:
    handler.begin()
    handler.delta(role="assistant", reasoning_content="Let me ")
    handler.delta(reasoning="see. ")
    handler.delta(content="42")
    handler.delta(reason="stop")
    handler.usage(5, 7, completion_tokens_details={"reasoning_tokens": 6})
    handler.done()


def calls(handler: Handler, body: Json) -> None:
    """Two calls, the arguments in pieces, one without a number."""
    handler.begin()
    first = {"index": 0, "id": "x1", "type": "function"}
    handler.delta(tool_calls=[{**first, "function": {"name": "add", "arguments": ""}}])
    for piece in ('{"a": 1,', ' "b": 2}'):
        handler.delta(tool_calls=[{"index": 0, "function": {"arguments": piece}}])
    second = {"index": 3, "id": "x2", "function": {"name": "now", "arguments": "{}"}}
    handler.delta(tool_calls=[second])
    handler.delta(reason="tool_calls")
    handler.usage(20, 12)
    handler.done()


def likely(handler: Handler, body: Json) -> None:
    handler.begin()
    token = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105]}
    top = [token, {"token": "Yo", "logprob": -2.5, "bytes": None}]
    handler.delta(content="Hi", logprobs={"content": [{**token, "top_logprobs": top}]})
    handler.delta(reason="stop")
    handler.done()


def waits(handler: Handler, body: Json) -> None:
    """Nothing at all, not even a header."""
    handler.upstream.released.wait(30)
    handler.close_connection = True


def stalls(handler: Handler, body: Json) -> None:
    """Begins, and then says nothing more, but notices a client that leaves."""
    handler.begin()
    handler.delta(content="one ")
    handler.delta(content="two ")
    until = time.monotonic() + 30
    while not handler.upstream.released.is_set() and time.monotonic() < until:
        handler.connection.settimeout(0.05)
        try:
            if not handler.connection.recv(1):
                raise BrokenPipeError
        except TimeoutError:
            continue
    handler.close_connection = True


def cuts(handler: Handler, body: Json) -> None:
    handler.begin()
    handler.delta(content="one ")
    handler.delta(content="two ")
    handler.cut()


def forgets(handler: Handler, body: Json) -> None:
    """Ends politely, without having said how."""
    handler.begin()
    handler.delta(content="one ")
    handler.wfile.write(b"0\r\n\r\n")


def leaves(handler: Handler, body: Json) -> None:
    """The answer is whole, but there is neither a count nor a farewell."""
    handler.begin()
    handler.delta(content="one two")
    handler.delta(reason="stop")
    handler.cut()


def babbles(handler: Handler, body: Json) -> None:
    handler.begin()
    handler.delta(content="one ")
    handler.event("{no json")
    handler.done()


def floods(handler: Handler, body: Json) -> None:
    """A line that never ends."""
    handler.begin()
    for _ in range(200):
        handler.raw(b"x" * 65536)
    handler.done()


def breaks(handler: Handler, body: Json) -> None:
    """An error in the middle of a stream, as vLLM and we ourselves tell it."""
    handler.begin()
    handler.delta(content="one ")
    handler.event({"error": {"message": "boom", "type": "server_error", "code": 500}})
    handler.done()


def filters(handler: Handler, body: Json) -> None:
    handler.begin()
    handler.delta(content="one ")
    handler.delta(reason="content_filter")
    handler.done()


def choosy(handler: Handler, body: Json) -> None:
    """OpenAI's newer models: another name for the limit. And Mistral: no stream_options."""
    if "max_tokens" in body:
        message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        return handler.refuse(400, message, "unsupported_parameter")
    if "stream_options" in body:
        return handler.refuse(422, "body.stream_options: Extra inputs are not permitted")
    return words(handler, body)


def narrow(handler: Handler, body: Json) -> None:
    """vLLM: room for three messages, and a limit that must fit."""
    if len(body["messages"]) > 3:
        return handler.refuse(400, TOO_LONG, "context_length_exceeded")
    if body.get("max_tokens", 0) > 5:
        message = (
            "This model's maximum context length is 100 tokens. However, you requested 1095 "
            "tokens (95 in the messages, 1000 in the completion)."
        )
        return handler.refuse(400, message, 400)
    return words(handler, body)


def embeds(handler: Handler, body: Json) -> None:
    data = [
        {"index": n, "object": "embedding", "embedding": [n, len(text)]}
        for n, text in enumerate(body["input"])
    ]
    handler.whole({"data": data[::-1], "usage": {"prompt_tokens": 6, "total_tokens": 6}})


def missing(handler: Handler, body: Json) -> None:
    handler.refuse(404, "The model does not exist.", "model_not_found")


def status(number: int, **more: Any) -> Callable[[Handler, Json], None]:
    def answer(handler: Handler, body: Json) -> None:
        handler.refuse(number, f"No, said {handler.headers.get('Authorization')}.", **more)

    return answer


def redirects(handler: Handler, body: Json) -> None:
    handler.whole(b"", 307, Location=f"{handler.upstream.base_url}/elsewhere")


MODELS: dict[str, Callable[[Handler, Json], None]] = {
    "words": words,
    "mutters": mutters,
    "whole": whole,
    "thinks": thinks,
    "calls": calls,
    "likely": likely,
    "waits": waits,
    "stalls": stalls,
    "cuts": cuts,
    "forgets": forgets,
    "leaves": leaves,
    "babbles": babbles,
    "floods": floods,
    "breaks": breaks,
    "filters": filters,
    "choosy": choosy,
    "narrow": narrow,
    "embeds": embeds,
    "redirects": redirects,
    "html": lambda handler, _: handler.whole(b"<html>Welcome", kind="text/html"),
    "packed": lambda handler, _: handler.whole(gzip.compress(b"{}"), Content_Encoding="gzip"),
    "bad": status(400),
    "keyless": status(401),
    "poor": status(429, code="insufficient_quota"),
    "forbidden": status(403),
    "busy": status(429, Retry_After="7"),
    "broken": status(500),
    "away": status(503),
    "long": lambda handler, _: handler.refuse(400, TOO_LONG, "context_length_exceeded"),
}
