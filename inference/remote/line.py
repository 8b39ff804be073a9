"""One HTTP exchange with a provider: bounded in time and size, to be hung up from another thread.
It says what came and judges nothing."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from inference.remote import egress, troubles
from inference.remote.permit import Permit
from inference.remote.troubles import Trouble

# Bytes: of an error or a list, of one line of a stream, and of a stream in all.
BODY, LINE, STREAM = 1 << 20, 4 << 20, 256 << 20
PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: until there is a connection, until the answer begins, between two signs of life, and
    for the whole answer. Models that think say nothing for minutes."""

    connect: float = 10.0
    first: float = 600.0
    silence: float = 300.0
    whole: float = 4 * 3600.0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Where a model's settings name a `connect_s`, `first_s`, `silence_s` or `whole_s`."""
        given = {each.name: settings.get(f"{each.name}_s") for each in fields(cls)}
        known = {name: s for name, s in given.items() if isinstance(s, int | float) and s > 0}
        return cls(**known)


class Line:
    """`hang_up` may come from any thread and at any time; what waits ends then with a Trouble."""

    def __init__(self, permit: Permit, patience: Patience) -> None:
        self._permit = permit
        self._patience = patience
        self._base = egress.parse(permit.base_url)
        self._socket: socket.socket | None = None
        self._answer: http.client.HTTPResponse | None = None
        self._hung_up = False
        self._until = time.monotonic() + patience.whole

    def get(self, path: str) -> Any:
        """A whole answer in JSON."""
        self._ask("GET", path, None)
        return self.whole()

    def post(self, path: str, body: Mapping[str, Any]) -> None:
        """Ask; what comes is read with `lines`."""
        self._ask("POST", path, json.dumps(body, ensure_ascii=False).encode(errors="replace"))

    @property
    def streams(self) -> bool:
        """Not all who stream say so."""
        assert self._answer
        kind = self._answer.headers.get_content_type()
        if kind == "text/html":
            raise Trouble("remote_garbage", "a page for people")
        return kind != "application/json"

    def whole(self) -> Any:
        """The answer as one piece of JSON."""
        try:
            return json.loads(self._bytes(most=8 * BODY))
        except (ValueError, RecursionError):
            raise Trouble("remote_garbage", "no JSON") from None

    def lines(self) -> Iterator[bytes]:
        """The lines of the answer as they come, without their ends."""
        rest, size = b"", 0
        while piece := self._read():
            size += len(piece)
            *lines, rest = (rest + piece).replace(b"\r\n", b"\n").split(b"\n")
            if size > STREAM or len(rest) > LINE:
                raise Trouble("remote_garbage", "the answer is too large")
            yield from lines
        if rest:
            yield rest

    def hurry(self, seconds: float) -> None:
        """What matters has come: wait no longer than this for what is left."""
        self._until = min(self._until, time.monotonic() + seconds)
        if self._socket:
            # It is closed already where the answer has come to its end.
            with contextlib.suppress(OSError):
                self._socket.settimeout(seconds)

    def hang_up(self) -> None:
        self._hung_up = True
        if self._socket:
            # Not its own method: with TLS that takes the ground from under a thread that reads.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self._hung_up = True
        if self._answer:
            self._answer.close()
        if self._socket:
            self._socket.close()

    def _ask(self, method: str, path: str, body: bytes | None) -> None:
        patience, inside = self._patience, self._permit.inside
        self._socket = egress.connect(self._base, inside=inside, timeout=patience.connect)
        if self._hung_up:
            raise Trouble("remote_cut")
        base = self._base
        client = http.client.HTTPConnection(base.host, base.port)
        # Connected already, to an address that was judged: it must not look up another one.
        client.sock, client.auto_open = self._socket, False
        client.default_port = egress.PORTS[base.scheme]
        self._socket.settimeout(patience.first)
        try:
            client.request(method, base.path + path, body, self._headers(body))
            self._answer = client.getresponse()
        except TimeoutError:
            raise Trouble("remote_timeout") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Trouble("remote_cut", type(error).__name__) from None
        self._socket.settimeout(patience.silence)
        self._check()

    def _headers(self, body: bytes | None) -> dict[str, str]:
        headers = {
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "chatsite",
            "Connection": "close",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._permit.key:
            headers["Authorization"] = f"Bearer {self._permit.key}"
        return headers

    def _check(self) -> None:
        answer = self._answer
        assert answer
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Trouble("remote_garbage", "the answer is compressed")
        if answer.status == 200:
            return
        # A redirect is not followed, not even read.
        body = b"" if 300 <= answer.status < 400 else self._bytes(most=BODY)
        known = {"Retry-After": answer.headers.get("Retry-After") or ""}
        raise troubles.of_answer(answer.status, known, body, self._permit.key)

    def _bytes(self, most: int) -> bytes:
        found = b""
        while piece := self._read():
            found += piece
            if len(found) > most:
                raise Trouble("remote_garbage", "the answer is too large")
        return found

    def _read(self) -> bytes:
        """What is there, or what comes next; empty at the end."""
        assert self._answer
        if time.monotonic() > self._until:
            raise Trouble("remote_timeout")
        try:
            piece = self._answer.read1(PIECE)
        except TimeoutError:
            raise Trouble("remote_timeout") from None
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # An attribute of what was hung up meanwhile is gone.
            raise Trouble("remote_cut", type(error).__name__) from None
        if self._hung_up:
            raise Trouble("remote_cut")
        return piece
