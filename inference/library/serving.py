"""A worker's models for the other workers of its site: over HTTP, signed, read-only, and nothing
but the files that a manifest lists (R6). It fetches nothing and asks the site nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import socketserver
import stat
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import redis

from inference import places
from inference.library.keys import Keyring
from inference.library.nouns import LibraryError
from inference.library.store import Store
from inference.settings import Settings

log = logging.getLogger(__name__)
PATH = re.compile(r"/models/([^/?#]+)/([^?#]+)")
RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")
# Connections at once; seconds of silence after which one is over; bytes between two looks at the
# pace; seconds between two tries to open.
MOST, SILENCE, PIECE, PAUSE = 16, 20, 256 << 10, 10.0
# Seconds in which who connects has shown that he may: strangers keep no place from the others.
SHOWN = 10.0
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
ANYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared with, to tell others a better one


class Serving:
    """One worker's. `address` is what the others are told: host:port, "" for nowhere."""

    def __init__(self, settings: Settings, client: redis.Redis, name: Callable[[], str]) -> None:
        self._settings = settings
        self._keys = Keyring(client)
        self._name = name
        self._server: Server | None = None
        self._next = 0.0
        self.address = ""

    def look(self) -> None:
        """Open, or move where this machine has another address by now. Called again and again."""
        if time.monotonic() < self._next or self._settings.node_port is None:
            return
        self._next = time.monotonic() + PAUSE
        host = self._settings.node_host or reached_by(self._settings.redis_url)
        if self._server and self._server.host == host:
            return
        self.close()
        if host:
            self._open(host, self._settings.node_port)

    def _open(self, host: str, port: int) -> None:
        store = Store(self._settings.data_dir)
        try:
            server = Server(host, port, store, self._keys, self._name(), self._settings.node_rate)
        except OSError as error:
            log.warning("Models are not offered to other machines at %s: %s.", host, error)
            return
        threading.Thread(target=server.serve_forever, name="serving", daemon=True).start()
        self._server = server
        told = reached_by(self._settings.redis_url) if host in ANYWHERE else host
        own = f"[{told}]:{server.port}" if ":" in told else f"{told}:{server.port}"
        # In a container the machine's address is not one of its own.
        self.address = self._settings.node_address or own
        log.info("Models are offered to other machines at %s.", self.address)

    def close(self) -> None:
        self.address = ""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def reached_by(redis_url: str) -> str:
    """This machine's address on the way to Redis. "": that is a socket on the disk, and no other
    machine can be there; or there is no way just now."""
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":
        return ""
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(
            parts.hostname or "localhost", parts.port or 6379, type=socket.SOCK_DGRAM
        )
        for family, kind, protocol, _, to in found:
            # Nothing is sent: the system says which way it would go.
            with socket.socket(family, kind, protocol) as way, contextlib.suppress(OSError):
                way.connect(to)
                return str(way.getsockname()[0])
    return ""


def path_of(folder: str, file: str) -> str:
    return f"/models/{quote(folder, safe='')}/{quote(file)}"


class Pace:
    """So many bytes per second of all connections together; 0: as fast as it goes."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self, count: int) -> None:
        if not self._rate:
            return
        with self._lock:
            begin = max(self._next, time.monotonic())
            self._next = begin + count / self._rate
        time.sleep(max(0.0, begin - time.monotonic()))


class Server(ThreadingHTTPServer):
    """A thread for each connection, and not more than MOST of them."""

    daemon_threads = True
    block_on_close = False
    # Two workers of one machine never share a port.
    allow_reuse_port = False

    def __init__(
        self, host: str, port: int, store: Store, keys: Keyring, name: str, rate: int = 0
    ) -> None:
        self.store, self.keys, self.name = store, keys, name
        self.host = host
        self.pace = Pace(rate)
        self._room = threading.BoundedSemaphore(MOST)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def server_bind(self) -> None:
        # Not HTTPServer's: that one asks a name server who we are.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.port

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.sendall(BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("A connection from %s broke.", client_address)


class Handler(BaseHTTPRequestHandler):
    """GET of one file, whole or from a byte on."""

    protocol_version = "HTTP/1.1"
    timeout = SILENCE
    server: Server

    def setup(self) -> None:
        super().setup()
        self._limit = threading.Timer(SHOWN, self._hang_up)
        self._limit.daemon = True
        self._limit.start()

    def finish(self) -> None:
        self._limit.cancel()
        super().finish()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        try:
            shown = self.headers.get("Authorization", "")
            if not self.server.keys.accepts(shown, self.server.name, self.path):
                self._refuse(403)
                return
        except redis.RedisError:
            self._refuse(503)
            return
        self._limit.cancel()
        file = self._find()
        if file is None:
            self._refuse(404)
            return
        try:
            self._give(file)
        finally:
            os.close(file)

    def _find(self) -> int | None:
        """The open file; None for what no manifest here lists."""
        asked = PATH.fullmatch(self.path)
        if not asked:
            return None
        folder, name = unquote(asked[1]), unquote(asked[2])
        known = self.server.store.manifest(folder) if places.FOLDER.fullmatch(folder) else None
        if known is None or name not in {each.path for each in known.landed.files}:
            return None
        try:
            path = self.server.store.path(folder, name)
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (LibraryError, OSError):
            return None
        if stat.S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
        return None

    def _give(self, file: int) -> None:
        size = os.fstat(file).st_size
        told = RANGE.fullmatch(self.headers.get("Range", ""))
        begin = int(told[1]) if told else 0
        end = min(size, int(told[2]) + 1) if told and told[2] else size
        if told and begin >= end:
            self._refuse(416)
            return
        self.send_response(206 if told else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(end - begin))
        self.send_header("Accept-Ranges", "bytes")
        if told:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
        self.end_headers()
        self._pour(file, begin, end)

    def _pour(self, file: int, at: int, end: int) -> None:
        """From the disk to the network, past this process's memory."""
        with os.fdopen(os.dup(file), "rb", buffering=0) as source:
            while at < end:
                count = min(PIECE, end - at)
                self.server.pace.wait(count)
                sent = self.connection.sendfile(source, at, count)
                if not sent:
                    # The file is shorter than it was: whoever reads sees that it is cut off.
                    self.close_connection = True
                    return
                at += sent

    def _refuse(self, status: int) -> None:
        """No word of why."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self._refuse(code)

    def version_string(self) -> str:
        return "chatsite"

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)
