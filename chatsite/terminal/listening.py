"""One answer as it comes: its log is followed, and Ctrl-C stops it. It starts none."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

import redis
from django.utils.translation import gettext

from chatsite.api.calls import Choice, Piece
from chatsite.api.waiting import hang_up
from chatsite.gateway import actions as gateway
from chatsite.gateway import stuck
from chatsite.gateway.follow import Follower, Place, hub
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import End, Entry
from chatsite.terminal.screen import Screen
from chatsite.terminal.trouble import Trouble

# Seconds until the log must be there.
PATIENCE = 10.0


@dataclass(slots=True)
class Heard:
    """What came of an answer, up to its end or to where nobody listened any more."""

    text: str = ""
    reasoning: str = ""
    tokens: list[int] = field(default_factory=list)
    end: End | None = None
    # It was stopped from the keyboard.
    stopped: bool = False


class Listener:
    """Shows an answer, and adds it up."""

    def __init__(self, row: Generation, screen: Screen) -> None:
        self.heard = Heard()
        self._row, self._screen = row, screen
        self._choice = Choice(0, row)
        self._over = asyncio.Event()
        # The terminal or the pipe is gone.
        self._failure: OSError | None = None

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.stop)
        follower = Follower(self._row.pk.hex, self._row.model, self._deliver, self._queued)
        try:
            await self._follow(follower)
            await self._over.wait()
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            hub.unfollow(follower)
            await hub.close()
        if self._failure:
            raise self._failure

    async def _follow(self, follower: Follower) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not await hub.follow(follower):  # noqa: ASYNC110 - nothing tells of a log
                    await asyncio.sleep(0.2)
        except (redis.RedisError, TimeoutError):
            self.stop()
            message = gettext("The site does not answer just now. Is `manage.py up` still running?")
            raise Trouble("broker", message) from None

    def stop(self) -> None:
        """End the answer within a step; asked for once more, wait for that no longer."""
        if self.heard.stopped:
            self._over.set()
        self.heard.stopped = True
        asyncio.get_running_loop().run_in_executor(None, cancel, self._row)

    async def _deliver(self, _: Follower, entries: Sequence[Entry]) -> None:
        piece = self._choice.read(entries)
        self._keep(piece, entries)
        try:
            self._show(piece, entries[-1])
        except OSError as error:
            self._failure = error
            self.stop()
            self._over.set()
        if piece.end:
            self._over.set()

    def _keep(self, piece: Piece, entries: Sequence[Entry]) -> None:
        self.heard.text += piece.text
        self.heard.reasoning += piece.reasoning
        self.heard.end = piece.end or self.heard.end
        for entry in entries:
            if entry.tokens is not None:
                # A log that was put back begins anew, in one piece.
                self.heard.tokens[entry.position - len(entry.tokens) :] = entry.tokens

    def _show(self, piece: Piece, last: Entry) -> None:
        if piece.text or piece.reasoning:
            self._screen.answer(piece.text, piece.reasoning)
        elif last.phase:
            self._screen.phase(last.phase, last.fraction)

    async def _queued(self, follower: Follower, place: Place) -> None:
        if follower.reason:
            self._screen.stuck(stuck.explain(follower.reason))
        else:
            self._screen.place(*place)


def cancel(row: Generation) -> None:
    try:
        gateway.cancel(row)
    finally:
        hang_up()


def hear(row: Generation, screen: Screen) -> Heard:
    """Show the answer until it ends; what there is of it."""

    async def listen() -> Heard:
        listener = Listener(row, screen)
        await listener.listen()
        return listener.heard

    try:
        return asyncio.run(listen())
    except KeyboardInterrupt:
        # It came before the listener was there to hear it.
        cancel(row)
        return Heard(stopped=True)
    finally:
        screen.end()
