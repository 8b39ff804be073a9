"""A reader of one answer over the WebSocket, as patient as the page's script: it comes back itself.

It keeps a position and asks from there, and it notes every piece with its positions, so that a test
can say what was lost and what came twice.
"""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.live import Person

# As the page's script does it, in seconds.
SILENCE = 4.0
ASK_AGAIN = 0.5


@dataclass(frozen=True, slots=True)
class Piece:
    """What one frame brought, as shown: the tokens after `begin` up to `end`."""

    begin: int
    end: int
    text: str
    at: float


class Reader(threading.Thread):
    """Follows a generation from its first token to its end; `close` lets go earlier."""

    def __init__(self, person: Person, generation: str) -> None:
        super().__init__(name=f"reader-{generation[:8]}", daemon=True)
        self.person, self.generation = person, generation
        self.cursor = 0
        self.text = ""
        self.reasoning = ""
        self.pieces: list[Piece] = []
        # Texts that were replaced by another one that does not begin with them.
        self.changed: list[str] = []
        self.phases: list[str] = []
        self.troubles: list[str] = []
        self.end: dict[str, Any] | None = None
        self.connections = 0
        self._news = threading.Condition()
        self._asked = self._heard = 0.0
        # Whether something came that does not continue what is here.
        self._behind = False
        self._leaving = False
        self._socket: ClientConnection | None = None

    def run(self) -> None:
        attempts = 0
        url = self.person.site.url.replace("http", "ws") + "/ws/"
        origin, cookie = Origin(self.person.site.url), {"Cookie": self.person.cookie}
        while not self._over():
            try:
                with connect(
                    url,
                    origin=origin,
                    additional_headers=cookie,
                    open_timeout=10,
                    close_timeout=0.2,
                ) as socket:
                    attempts = 0
                    self.connections += 1
                    self._read(socket)
            except (OSError, WebSocketException):
                attempts += 1
                longest = min(8.0, 0.25 * 2**attempts)
                time.sleep(longest * random.uniform(0.5, 1))

    def wait_position(self, position: int, seconds: float = 60) -> int:
        """Until that many tokens are here (or the end is); how many there are."""
        self._await(lambda: self.cursor >= position or self.end is not None, seconds)
        return self.cursor

    def wait_phase(self, phase: str, seconds: float = 60) -> None:
        self._await(lambda: phase in self.phases, seconds)

    def wait_trouble(self, kind: str, seconds: float = 60) -> None:
        self._await(lambda: kind in self.troubles, seconds)

    def wait_end(self, seconds: float = 90) -> dict[str, Any]:
        self._await(lambda: self.end is not None, seconds)
        assert self.end is not None
        self.join(5)
        return self.end

    def stop(self) -> None:
        """Press Stop: the connection must be open."""
        assert self._socket is not None
        self._socket.send(json.dumps({"type": "stop", "generation": self.generation}))

    def close(self) -> None:
        self._leaving = True
        self.join(10)

    def gap(self, since: float = 0.0) -> float:
        """The longest time without a new piece after that moment, in seconds."""
        times = [since, *(piece.at for piece in self.pieces if piece.at > since)]
        return max((b - a for a, b in pairwise(times)), default=0.0)

    def _await(self, condition: Any, seconds: float) -> None:
        with self._news:
            met = self._news.wait_for(condition, seconds)
        state = f"at {self.cursor}, phases {self.phases[-3:]}, troubles {self.troubles[-3:]}"
        assert met, f"not within {seconds} s: {state}\n{self.person.site.output()[-2000:]}"

    def _over(self) -> bool:
        return self._leaving or self.end is not None

    def _read(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ask(socket)
        while not self._over():
            if self._behind and time.monotonic() - self._asked > ASK_AGAIN:
                self._ask(socket)
            try:
                frame = json.loads(socket.recv(timeout=0.25))
            except TimeoutError:
                before = time.monotonic() - SILENCE
                if self._asked < before and self._heard < before:
                    self._ask(socket)
                continue
            with self._news:
                self._take(socket, frame)
                self._news.notify_all()

    def _ask(self, socket: ClientConnection) -> None:
        self._asked, self._behind = time.monotonic(), False
        ask = {"type": "follow", "generation": self.generation, "cursor": self.cursor}
        socket.send(json.dumps(ask))

    def _take(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        if frame["type"] == "trouble":
            self.troubles.append(frame["kind"])
            if frame["kind"] == "ok":
                self._ask(socket)
        elif frame.get("generation") == self.generation:
            self._heard = time.monotonic()
            assert frame["type"] != "missing", "the answer is unknown"
            if not self._continues(frame):
                self._behind = True
            elif frame["type"] == "delta":
                self._behind = False
                self._grow(frame)
            elif frame["type"] == "state":
                self.phases.append(frame["phase"])
            else:
                self.text += frame["text"]
                self.reasoning += frame["reasoning"]
                self.end = frame

    def _continues(self, frame: dict[str, Any]) -> bool:
        """False where something before this frame was missed."""
        if frame["type"] == "done":
            return bool(frame["to"] <= self.cursor)
        if frame["type"] != "delta" or frame.get("replace") or frame["to"] <= self.cursor:
            return True
        return bool(frame["from"] == self.cursor)

    def _grow(self, frame: dict[str, Any]) -> None:
        if frame.get("replace"):
            self._replace(frame)
        elif frame["to"] > self.cursor:
            self.pieces.append(Piece(frame["from"], frame["to"], frame["text"], time.monotonic()))
            self.text += frame["text"]
            self.reasoning += frame["reasoning"]
            self.cursor = frame["to"]

    def _replace(self, frame: dict[str, Any]) -> None:
        """The whole answer anew. What stood there must be how it begins."""
        if frame["to"] < self.cursor:
            return
        if not frame["text"].startswith(self.text):
            self.changed.append(self.text)
        self.pieces = [Piece(0, frame["to"], frame["text"], time.monotonic())]
        self.text, self.reasoning = frame["text"], frame["reasoning"]
        self.cursor = frame["to"]
