"""The WebSocket of the chat page: follow, stop, notices. Writes no row; every message is checked
anew."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import UUID

import redis
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.utils import translation

from chatsite.accounts.models import User
from chatsite.chat import frames
from chatsite.gateway import actions
from chatsite.gateway.follow import Follower, Place, hub
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import Entry

log = logging.getLogger(__name__)
# Bounded, and not the one thread that all of Channels shares by default: ten sockets that wait
# there for the database would wait for each other.
POOL = ThreadPoolExecutor(4, thread_name_prefix="socket-db")
SIGNED_OUT = 4401
# A frame from a browser is a few dozen bytes; the followed answers of one page are a handful.
FRAME_BYTES = 4096
FOLLOWED = 50
# More than this in a minute wants only who follows the same answers over and over.
MINUTE_CHARS = 32 << 20
Answer = TypeVar("Answer")


class ChatConsumer(AsyncWebsocketConsumer):
    """One open page of one signed-in person."""

    async def connect(self) -> None:
        self.followers: dict[str, Follower] = {}
        self.user: User | None = None
        self.doubted = False
        self.spent, self.since = 0, time.monotonic()
        self.rechecks: set[asyncio.Task[bool]] = set()
        # Before the session is looked at: what is revoked from now on is heard.
        await hub.listen(self.hear)
        user = await self._look()
        await self.accept()
        if await self._greet(user) and (hub.down or hub.full):
            await self._say(frames.trouble("broker" if hub.down else "storage"))

    async def disconnect(self, code: int) -> None:
        self._let_go()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = read(text_data)
        if message is None:
            await self.close(1003)
        elif await self._admit():
            handlers = {"follow": self.follow, "unfollow": self.unfollow, "stop": self.stop}
            await handlers[message["type"]](message)

    # What the browser may ask

    async def follow(self, message: dict[str, Any]) -> None:
        id = message["generation"]
        row = await self._mine(id)
        if row is None:
            await self._say(frames.missing(id))
            return
        await self.unfollow(message)
        if len(self.followers) >= FOLLOWED:
            await self.unfollow({"generation": next(iter(self.followers))})
        follower = Follower(id, row.model, self.deliver, self.queued)
        follower.start_at(message["cursor"])
        self.followers[id] = follower
        try:
            logged = await hub.follow(follower)
        except redis.RedisError:
            # The page asks again when the trouble is over.
            await self._say(frames.trouble("broker"))
            return
        if not logged and not row.is_live:
            for frame in frames.from_row(row, self.language):
                await self._say(frame)
        elif not logged:
            # The steward is putting its log back; the page asks again by itself.
            await self._say(frames.state(id, "waiting"))

    async def unfollow(self, message: dict[str, Any]) -> None:
        if follower := self.followers.pop(message["generation"], None):
            hub.unfollow(follower)

    async def stop(self, message: dict[str, Any]) -> None:
        row = await self._mine(message["generation"])
        if row is None:
            await self._say(frames.missing(message["generation"]))
        elif row.is_live:
            await self._db(actions.cancel, row)

    # What the hub brings

    async def deliver(self, follower: Follower, entries: Sequence[Entry]) -> None:
        if self.followers.get(follower.id) is not follower:
            return
        for frame in frames.frames(follower.id, follower.position, entries, self.language):
            await self._say(frame)
        if entries[-1].end is not None:
            await self.unfollow({"generation": follower.id})

    async def queued(self, follower: Follower, place: Place) -> None:
        ahead, wait = place
        frame = frames.state(follower.id, "waiting", ahead=ahead, wait=wait)
        if follower.reason:
            frame |= frames.stuck(follower.reason, self.language)
        await self._say(frame)

    async def hear(self, notice: dict[str, Any]) -> None:
        """A hint for everybody or for one person; what concerns others is not passed on."""
        fields = {key: value for key, value in notice.items() if key not in {"user", "topic"}}
        whom, topic = notice.get("user"), notice["topic"]
        # A look at the session that is under way may have been too early.
        self.doubted = self.doubted or topic == "revoked"
        if self.user is None or whom not in {None, self.user.pk}:
            return
        if topic == "revoked":
            if fields.get("session") in {None, self.session_key}:
                await self._leave(SIGNED_OUT)
        elif topic == "trouble":
            await self._say(frames.trouble(fields["kind"]))
            if fields["kind"] == "ok":
                self._recheck()
        else:
            await self._say(frames.notice(topic, fields))

    # Who is there

    async def _admit(self) -> bool:
        """Whether the session still holds: asked with every message, not once per socket."""
        return await self._greet(await self._look())

    async def _look(self) -> User | None:
        self.session_key: str | None = self.scope["session"].session_key
        while True:
            self.doubted = False
            user = await self._db(person, self.session_key)
            if not self.doubted:
                return user

    async def _greet(self, user: User | None) -> bool:
        self.user = user
        if self.user is None:
            await self._leave(SIGNED_OUT)
            return False
        self.language = self.user.language or spoken(self.scope)
        return True

    def _recheck(self) -> None:
        """What was revoked while Redis was away, nobody could be told."""
        task = asyncio.create_task(self._admit())
        self.rechecks.add(task)
        task.add_done_callback(self.rechecks.discard)

    async def _leave(self, code: int) -> None:
        """Nothing more is said from this moment, however long the browser takes to hang up."""
        self._let_go()
        await self.close(code)

    def _let_go(self) -> None:
        hub.unlisten(self.hear)
        for follower in self.followers.values():
            hub.unfollow(follower)
        self.followers.clear()

    async def _mine(self, id: str) -> Generation | None:
        assert self.user
        return await self._db(find, self.user, id)

    async def _db(self, ask: Callable[..., Answer], *args: Any) -> Answer:
        call = database_sync_to_async(ask, thread_sensitive=False, executor=POOL)
        answer: Answer = await call(*args)
        return answer

    async def _say(self, frame: frames.Frame) -> None:
        text = json.dumps(frame, ensure_ascii=False)
        # The server keeps what a browser does not read, and tells nobody how much that is.
        if time.monotonic() - self.since > 60:
            self.spent, self.since = 0, time.monotonic()
        self.spent += len(text)
        if self.spent > MINUTE_CHARS:
            await self._leave(1008)
        else:
            await self.send(text_data=text)


def person(session_key: str | None) -> User | None:
    """Whose session this is, as of now: active, with the password that the session was made
    with."""
    request = HttpRequest()
    request.session = SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) and not user.must_change_password else None


def find(user: User, id: str) -> Generation | None:
    """A generation of this person; another's is the same as none."""
    return Generation.objects.filter(pk=UUID(id), owner=user).first()


def read(text: str | None) -> dict[str, Any] | None:
    """A frame of the browser, or None where it is not one."""
    if text is None or len(text) > FRAME_BYTES:
        return None
    try:
        message = json.loads(text)
        UUID(message["generation"])
        known = message["type"] in {"follow", "unfollow", "stop"}
        cursor = message.setdefault("cursor", 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    in_range = isinstance(cursor, int) and 0 <= cursor < 1 << 31
    message["generation"] = UUID(message["generation"]).hex
    return message if known and in_range else None


def spoken(scope: dict[str, Any]) -> str:
    """The page's language where the account names none: the cookie, else the browser's wish."""
    request = HttpRequest()
    request.COOKIES = scope.get("cookies", {})
    headers = dict(scope.get("headers", ()))
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get(b"accept-language", b"").decode("latin-1")
    return translation.get_language_from_request(request)
