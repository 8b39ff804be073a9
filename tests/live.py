"""The really running product for tests: `manage.py up` in a data directory of its own.

    def test_it_works(site):                # one product for the whole test run
        alice = site.person("alice")        # made and logged in; the cookie is alice.cookie
        alice.get("/chat/").status          # pages over HTTP, form tokens included
        alice.post("/chat/send", text="Hello", nonce="1", model="echo", conversation="")
        site.kill("worker")                 # kill -9; `up` starts it again
        site.wait_ready()                   # /readyz says 200

    def test_on_its_own(new_site):          # a product for this test alone
        site = new_site(CHATSITE_LEASE_MS="2000")
        ...
        site.stop()                         # Ctrl-C; the fixture does it, too

The tests' own process never touches the ORM of that product: rows are made by `site.manage(...)`,
which runs manage.py, or `site.shell(...)`, which runs code on its tables. Parts: web, worker,
steward, valkey; `site.engines()` are the engine children of the worker. `site.output()` is what
`up` printed, `site.log("web")` the log of a part. The deterministic `echo` model is in the
catalogue beside the starter model.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

import psutil
import pytest

from tests import template
from tests.tables import Tables

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "violet-harbour-7"
NEW_PERSON = """
import os
from chatsite.accounts.models import User
make = User.objects.create_superuser if os.environ["ADMIN"] else User.objects.create_user
name, word = os.environ["NAME"], os.environ["WORD"]
person = User.objects.filter(username=name).first() or make(name, password=word)
# Another test on the same site may have left them otherwise.
if not (person.is_active and person.check_password(word)) or person.must_change_password:
    person.is_active, person.must_change_password = True, False
    person.set_password(word)
    person.save()
"""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str
    headers: Message


class Person:
    """Somebody with a browser's memory for cookies, but no browser."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name
        self.jar = CookieJar()
        self.opener = build_opener(HTTPCookieProcessor(self.jar))

    @property
    def cookie(self) -> str:
        """The value of a Cookie header, for WebSockets."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.jar)

    def login(self, password: str = PASSWORD) -> Answer:
        self.get("/login")
        return self.post("/login", username=self.name, password=password)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send(Request(self.site.url + path, headers=headers))

    def post(self, path: str, **fields: str) -> Answer:
        tokens = [cookie.value or "" for cookie in self.jar if "csrf" in cookie.name]
        headers = {"X-CSRFToken": tokens[0] if tokens else "", "Referer": self.site.url + "/"}
        data = urlencode(fields).encode()
        return self.send(Request(self.site.url + path, data=data, headers=headers))

    def send(self, request: Request) -> Answer:
        try:
            with self.opener.open(request, timeout=30) as answer:
                return Answer(answer.status, answer.read().decode(), answer.headers)
        except HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode(), error.headers)


class Site:
    """One running product. Its data directory stays until `remove`, so it can be started again."""

    def __init__(
        self,
        data: Path | None = None,
        host: str = "127.0.0.1",
        python: str | Path = sys.executable,
        options: tuple[str, ...] = (),
        laid: bool = True,
        **env: str,
    ) -> None:
        """A data directory of its own is laid out from the template, unless `laid` says no."""
        self.options = options
        self.data = data or Path(tempfile.mkdtemp(prefix="chatsite-live-"))
        if laid and data is None:
            template.lay(self.data, clean_environment(), tables="DATABASE_URL" not in env)
        self.host = host
        self.python = str(python)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = clean_environment() | {
            "CHATSITE_DATA_DIR": str(self.data),
            "CHATSITE_ECHO_MODEL": "1",
            **env,
        }
        # Before the command of `up`, as `ip netns exec NAME` is.
        self.prefix: tuple[str, ...] = ()
        self.up: subprocess.Popen[bytes] | None = None
        self.tables = Tables(self.python)
        # Seconds from the start to the first /readyz that said 200.
        self.took = 0.0

    def launch(self) -> subprocess.Popen[bytes]:
        """Start `up` and do not wait for it."""
        options = ["--host", self.host, "--port", str(self.port), "--data-dir", str(self.data)]
        options += self.options
        with (self.data / "up.log").open("ab") as output:
            self.up = subprocess.Popen(
                [*self.prefix, self.python, str(ROOT / "manage.py"), "up", *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.env,
                cwd=ROOT,
                start_new_session=True,
            )
        return self.up

    def start(self) -> Site:
        began = time.monotonic()
        self.launch()
        self.wait_ready()
        self.took = time.monotonic() - began
        return self

    def wait_ready(self, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while True:
            assert self.up is not None
            assert self.up.poll() is None, f"up has ended:\n{self.output()}"
            try:
                with urlopen(self.url + "/readyz", timeout=5):
                    return
            except (URLError, OSError) as error:
                if time.monotonic() > until:
                    raise AssertionError(f"not ready ({error}):\n{self.output()}") from error
                time.sleep(0.1)

    def stop(self, number: int = signal.SIGINT) -> int:
        """End `up` as Ctrl-C does; its exit status."""
        if self.up is None:
            return 0
        self.up.send_signal(number)
        code = self.up.wait(60)
        self.up = None
        return code

    def remove(self) -> None:
        self.tables.close()
        try:
            self.stop()
        finally:
            for process in self.processes():
                process.kill()
            shutil.rmtree(self.data, ignore_errors=True)

    def pid(self, part: str) -> int:
        record = self.data / "run" / "parts" / f"{part}.json"
        return int(json.loads(record.read_text())["pid"])

    def kill(self, part: str) -> int:
        """kill -9 of one part; the process number that is gone."""
        pid = self.pid(part)
        os.kill(pid, signal.SIGKILL)
        return pid

    def engines(self) -> list[int]:
        """The engine children of the worker; it has others, which fetch and measure."""
        try:
            children = psutil.Process(self.pid("worker")).children()
            return [each.pid for each in children if "inference.engines.process" in each.cmdline()]
        except psutil.NoSuchProcess:
            return []

    def processes(self) -> list[psutil.Process]:
        """Every live process of this site except `up`: by the mark in its environment, and Valkey,
        which writes over its environment, by its socket."""
        return [
            process for process in psutil.process_iter() if alive(process) and self.owns(process)
        ]

    def owns(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("CHATSITE_UP") == str(self.data)
        except (psutil.Error, OSError):
            return False

    def manage(self, *arguments: str, **env: str) -> str:
        """Run a manage.py command against this site; what it printed."""
        command = [self.python, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(
            command, env=self.env | env, cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def shell(self, code: str, **env: str) -> str:
        """Run code on its tables; what it printed."""
        return self.tables.run(code, self.env, **env)

    def person(self, name: str, *, admin: bool | None = None) -> Person:
        """Somebody with an account (made when there is none), logged in. Alice is the admin."""
        is_admin = name == "alice" if admin is None else admin
        self.shell(NEW_PERSON, NAME=name, WORD=PASSWORD, ADMIN="1" if is_admin else "")
        person = Person(self, name)
        answer = person.login()
        assert answer.status == 200, answer.text
        assert "session" in person.cookie, answer.text
        return person

    def guest(self) -> Person:
        """Somebody who is not logged in."""
        return Person(self, "")

    def output(self) -> str:
        log = self.data / "up.log"
        return log.read_text() if log.exists() else ""

    def log(self, part: str) -> str:
        return (self.data / "logs" / f"{part}.log").read_text()


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """This process's environment without what the tests set for themselves."""
    ours = ("CHATSITE_", "DJANGO_SETTINGS_MODULE", "REDIS_URL", "DATABASE_URL", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    product = Site()
    try:
        yield product.start()
    finally:
        product.remove()


@pytest.fixture
def new_site() -> Iterator[Callable[..., Site]]:
    """Starts products for this test alone. `start=False` only prepares one."""
    made: list[Site] = []

    def new(*, start: bool = True, **options: Any) -> Site:
        product = Site(**options)
        made.append(product)
        return product.start() if start else product

    yield new
    for product in made:
        product.remove()
