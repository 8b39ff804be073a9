"""The two hosts of the tests' hub: one answers questions and knows where the files are, the other
has them. Each on a port of its own; what is served is told to both."""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.hub.faults import Fault, Seen
from tests.hub.repos import Blob, Repo

BLOCK = 16 << 10
RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
CACHED = re.compile(
    r"/api/resolve-cache/models/(?P<repo>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<path>.+)"
)
INFO = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?")
TREE = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)")


class Hub:
    """`url` is its endpoint, `files` the host (with its port) to which it redirects."""

    def __init__(self, *, port: int = 0, files_port: int = 0) -> None:
        self.repos: dict[str, Repo] = {}
        self.tokens: set[str] = set()
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        # Signatures of addresses of files, each good until `expire`.
        self.signed: dict[str, Blob] = {}
        # Plain files of the other host, by their path.
        self.plain: dict[str, Blob] = {}
        # Entries of a tree on one page.
        self.page = 1000
        self.lock = threading.Lock()
        self._servers = {
            "hub": _serve(self, "hub", port),
            "files": _serve(self, "files", files_port),
        }
        self.url = f"http://127.0.0.1:{self.port('hub')}"
        # Another name than the endpoint's, although it is the same machine.
        self.files = f"localhost:{self.port('files')}"

    def port(self, where: str) -> int:
        return int(self._servers[where].server_address[1])

    def add(self, name: str, files: Mapping[str, bytes | Path], **about: Any) -> Repo:
        repo = Repo(name, {path: Blob(data) for path, data in files.items()}, **about)
        self.repos[name] = repo
        self.tokens |= repo.members
        return repo

    def fail(self, **fault: Any) -> Fault:
        made = Fault(**fault)
        with self.lock:
            self.faults.append(made)
        return made

    def take_fault(self, where: str, method: str, path: str) -> Fault:
        with self.lock:
            for fault in self.faults:
                if fault.meets(where, method, path):
                    fault.times -= 1
                    return fault
        return Fault(times=0)

    def expire(self) -> None:
        """Addresses that were signed until now are good no more."""
        self.signed.clear()

    def sign(self, blob: Blob) -> str:
        mark = secrets.token_hex(8)
        self.signed[mark] = blob
        name = quote(blob.sha256)
        return f"http://{self.files}/{name}?X-Amz-Expires=3600&X-Amz-Signature={mark}"

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nobody listens, and what was connected is cut."""
        ports = {where: self.port(where) for where in self._servers}
        self.close()
        try:
            yield
        finally:
            self._servers = {where: _serve(self, where, port) for where, port in ports.items()}

    def close(self) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()
            server.hang_up()


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.open: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are what these tests are about."""

    def hang_up(self) -> None:
        for request in list(self.open):
            super().shutdown_request(request)


def _serve(hub: Hub, where: str, port: int) -> Server:
    handler = type("Handler", (HubHandler if where == "hub" else FilesHandler,), {"hub": hub})
    server = Server(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    where = ""

    def log_message(self, format: str, *args: Any) -> None:
        """The tests look at `seen` instead."""

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        self.fault = self.hub.take_fault(self.where, self.command, self.path)
        if self.fault.silent:
            time.sleep(self.fault.silent)
        if self.fault.status:
            self.say(self.fault.status, {"error": "It fails."}, self.fault.headers)
            return
        self.answer(urlsplit(self.path).path, parse_qs(urlsplit(self.path).query))

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        raise NotImplementedError

    def say(self, status: int, data: Any = None, headers: Mapping[str, str] | None = None) -> None:
        body = b"" if data is None else json.dumps(data).encode()
        self.note(status, len(body))
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def note(self, status: int, sent: int) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.where, self.command, self.path, headers, status, sent)
        self.hub.seen.append(seen)

    def send(self, blob: Blob, headers: Mapping[str, str]) -> None:
        """The whole, or the range that was asked for."""
        start, end = 0, blob.size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        fresh = self.headers.get("If-Range", "") in {"", headers.get("ETag", "")}
        fresh = fresh and not self.fault.deaf
        ranged = bool(wanted) and fresh
        if wanted and fresh:
            start = int(wanted[1])
            end = min(blob.size, int(wanted[2]) + 1) if wanted[2] else blob.size
            if start >= blob.size:
                self.say(416, None, {"Content-Range": f"bytes */{blob.size}"})
                return
        self.send_response(206 if ranged else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{blob.size}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        sent = 0
        try:
            if self.command != "HEAD":
                for piece in self.pieces(blob, start, end):
                    self.wfile.write(piece)
                    sent += len(piece)
        finally:
            self.note(206 if ranged else 200, sent)
        if self.fault.cut is not None:
            self.close_connection = True
            self.connection.close()

    def pieces(self, blob: Blob, start: int, end: int) -> Iterator[bytes]:
        fault = self.fault
        if fault.cut is not None:
            end = min(end, start + fault.cut)
        while start < end:
            piece = bytearray(blob.read(start, min(BLOCK, end - start)))
            if fault.wrong is not None and start <= fault.wrong < start + len(piece):
                piece[fault.wrong - start] ^= 0xFF
            if fault.pace:
                time.sleep(len(piece) / fault.pace)
            yield bytes(piece)
            start += len(piece)


class HubHandler(Handler):
    where = "hub"

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        if path == "/api/models":
            self.list_models(query)
            return
        for form, work in self.forms().items():
            if found := form.fullmatch(path):
                if repo := self.reach(found):
                    work(repo, found, query)
                return
        self.say(404, {"error": "Sorry, we can't find the page you are looking for."})

    def forms(self) -> dict[re.Pattern[str], Callable[..., None]]:
        return {TREE: self.tree, INFO: self.info, RESOLVE: self.resolve, CACHED: self.cached}

    def info(self, repo: Repo, found: re.Match[str], query: dict[str, list[str]]) -> None:
        self.say(200, repo.info())

    def cached(self, repo: Repo, found: re.Match[str], query: dict[str, list[str]]) -> None:
        blob = repo.files[unquote(found["path"])]
        self.send(blob, self.file_headers(repo, blob, f'"{blob.git}"'))

    def refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.say(status, {"error": message}, headers)

    def reach(self, found: re.Match[str]) -> Repo | None:
        """The repository, where it may be seen, or its files be read."""
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        path = unquote(found.groupdict().get("path") or "")
        if given and given not in self.hub.tokens:
            self.refuse(401, "", "Invalid credentials in Authorization header")
            return None
        name = found["repo"]
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and given not in repo.members):
            # Who shows no token is not told whether there is one.
            if given:
                self.refuse(404, "RepoNotFound", "Repository not found")
            else:
                self.refuse(401, "RepoNotFound", "Invalid username or password.")
            return None
        if found["revision"] not in {None, "main", repo.commit}:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {found['revision']}")
            return None
        if path and repo.gated and given not in repo.members:
            told = f"Access to model {name} is restricted"
            self.refuse(403 if given else 401, "GatedRepo", told)
            return None
        if path and path not in repo.files:
            self.refuse(404, "EntryNotFound", "Entry not found")
            return None
        return repo

    def list_models(self, query: dict[str, list[str]]) -> None:
        words = query.get("search", [""])[0].lower().split()
        wanted = set(query.get("filter", []))
        found = [
            repo.info()
            for repo in self.hub.repos.values()
            if not repo.private
            and all(word in repo.name.lower() for word in words)
            and wanted <= set(repo.info()["tags"])
        ]
        found.sort(key=lambda info: -info["downloads"])
        told = {"id", "_id", "modelId", *query.get("expand", [])}
        if "expand" in query:
            found = [{key: info[key] for key in told if key in info} for info in found]
        self.say(200, found[: int(query.get("limit", ["1000"])[0])])

    def tree(self, repo: Repo, found: re.Match[str], query: dict[str, list[str]]) -> None:
        entries = repo.tree()
        start = int(query.get("cursor", ["0"])[0])
        end = start + self.hub.page
        headers = {}
        if end < len(entries):
            path = urlsplit(self.path).path
            headers["Link"] = f'<{self.hub.url}{path}?recursive=true&cursor={end}>; rel="next"'
        self.say(200, entries[start:end], headers)

    def resolve(self, repo: Repo, found: re.Match[str], query: dict[str, list[str]]) -> None:
        """Weights are on the other host, small files behind a redirect here."""
        path = unquote(found["path"])
        blob = repo.files[path]
        if not repo.is_lfs(path):
            target = f"/api/resolve-cache/models/{repo.name}/{repo.commit}/{quote(path)}"
            headers = self.file_headers(repo, blob, f'"{blob.git}"')
            self.say(307, None, headers | {"Location": target})
            return
        headers = self.file_headers(repo, blob, f'"{blob.sha256}"')
        self.say(
            302,
            None,
            headers
            | {
                "Location": self.hub.sign(blob),
                "X-Xet-Hash": blob.sha256,
                "Link": f"<{self.hub.url}/api/models/{repo.name}/xet-read-token/{repo.commit}>; "
                'rel="xet-auth"',
            },
        )

    def file_headers(self, repo: Repo, blob: Blob, etag: str) -> dict[str, str]:
        return {
            "X-Repo-Commit": repo.commit,
            "X-Linked-Size": str(blob.size),
            "X-Linked-ETag": etag,
            "ETag": etag,
        }


class FilesHandler(Handler):
    where = "files"

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        if blob := self.hub.plain.get(unquote(path)):
            self.send(blob, {"ETag": f'"{blob.sha256[:16]}"'})
            return
        blob = self.hub.signed.get(query.get("X-Amz-Signature", [""])[0])
        if blob is None:
            self.say(403, {"Error": "AccessDenied"})
        elif "Authorization" in self.headers:
            # As the real ones do: an address that is signed needs no token.
            self.say(400, {"Error": "InvalidArgument"})
        else:
            self.send(blob, {"ETag": f'"{blob.sha256}"'})
