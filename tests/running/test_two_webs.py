"""Two web processes on one PostgreSQL and one Redis: a conversation that is open on both shows the
same stream, either may die, and nobody has to come back to the one he had."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from openai import APIConnectionError, OpenAI
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests import balancing, brokers, postgres
from tests.balancing import Balancer
from tests.live import ROOT, Person, Site, free_port
from tests.running.reader import Reader
from tests.running.talking import STARTER, read_log, say

pytestmark = pytest.mark.live
# Of the engine that says it again: long enough that somebody dies in the middle.
STORY = " ".join(f"word{number}" for number in range(300))
QUESTIONS = {"echo": STORY, STARTER: "Write a long story about a lighthouse keeper."}
OPTIONS: dict[str, dict[str, str]] = {
    "echo": {},
    STARTER: {"temperature": "0", "seed": "1", "max_tokens": "150"},
}


class Web(Site):
    """A further web process of a site, by `manage.py web`."""

    def __init__(self, first: Site) -> None:
        super().__init__(first.data)
        self.env = first.env

    def launch(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(ROOT / "manage.py"), "web", "--port", str(self.port)]
        with (self.data / "second.log").open("ab") as output:
            self.up = subprocess.Popen(
                command, stdout=output, stderr=output, env=self.env, cwd=ROOT
            )
        return self.up

    def output(self) -> str:
        return (self.data / "second.log").read_text()

    def die(self) -> None:
        """As by `kill -9`, and it is started again by nobody."""
        assert self.up is not None
        self.up.kill()
        self.up.wait()
        self.up = None


class Front(Site):
    """What people see: the address of a proxy."""

    def __init__(self, first: Site, port: int) -> None:
        super().__init__(first.data)
        self.env, self.port, self.url = first.env, port, f"http://127.0.0.1:{port}"


@dataclass(frozen=True, slots=True)
class Office:
    first: Site
    second: Web
    front: Front

    def alice(self, site: Site) -> Person:
        """Alice at that address."""
        alice = Person(site, "alice")
        assert alice.login().status == 200
        return alice


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    folder = postgres.needed()
    redis_port, postgres_port = free_port(), free_port()
    with brokers.server(redis_port), postgres.office(folder, postgres_port) as database:
        first = Site(
            DATABASE_URL=database,
            REDIS_URL=brokers.address(redis_port),
            CHATSITE_PROXIES="127.0.0.1",
        )
        second = Web(first)
        balancer = Balancer([first.port, second.port])
        balancer.start()
        try:
            first.start()
            first.person("alice")
            second.start()
            yield Office(first, second, Front(first, balancer.port))
        finally:
            balancer.close()
            if second.up:
                second.die()
            first.remove()


@pytest.fixture(autouse=True)
def both_live(office: Office) -> None:
    office.first.wait_ready()
    if office.second.up is None:
        office.second.start()


def follow(person: Person, generation: str) -> Reader:
    reader = Reader(person, generation)
    reader.start()
    return reader


def check(reader: Reader, text: str) -> None:
    """Every token once, in its order, and the whole text."""
    assert reader.text == text
    assert not reader.changed
    ends = [(piece.begin, piece.end) for piece in reader.pieces]
    assert [begin for begin, _ in ends] == [0, *(end for _, end in ends[:-1])]
    assert ends[-1][1] == reader.cursor


@pytest.mark.parametrize("model", QUESTIONS)
def test_it_works(office: Office, model: str) -> None:
    here, there = office.alice(office.first), office.alice(office.second)
    said = say(here, QUESTIONS[model], model=model, **OPTIONS[model])
    readers = [follow(here, said.generation), follow(there, said.generation)]
    for reader in readers:
        reader.wait_end()
    text = read_log(office.first, said.generation).text
    for reader in readers:
        check(reader, text)
        # It grew before the reader's eyes.
        assert len(reader.pieces) > 5
    assert said.wait_closed() == "done"
    assert f"/chat/{said.conversation}/" in there.get("/chat/").text


@pytest.mark.parametrize("victim", ["first", "second"])
@pytest.mark.parametrize("model", QUESTIONS)
def test_either_may_die(office: Office, model: str, victim: str) -> None:
    """A reader of the dead one comes back by the proxy and has every token once; the other one's
    notices nothing."""
    dying = getattr(office, victim)
    lasting = office.second if victim == "first" else office.first
    witness, visitors = office.alice(lasting), office.alice(office.front)
    said = say(witness, QUESTIONS[model], model=model, **OPTIONS[model])
    beside = follow(witness, said.generation)
    # Of two that come one after the other each process gets one.
    readers = [follow(visitors, said.generation) for _ in range(2)]
    for reader in readers:
        reader.wait_position(20)
    began = time.monotonic()
    if victim == "first":
        dying.kill("web")
    else:
        dying.die()
    for reader in (*readers, beside):
        reader.wait_end()
    text = read_log(office.first, said.generation).text
    for reader in (*readers, beside):
        check(reader, text)
    assert beside.connections == 1
    assert sum(reader.connections for reader in readers) >= 3, "nobody had to come back"
    gap = max(reader.gap(began) for reader in readers)
    print(
        f"\n{victim} killed ({model}): longest gap {gap:.1f} s, witness {beside.gap(began):.1f} s"
    )
    assert gap < 10
    assert said.wait_closed() == "done"
    assert said.saved() == text


def test_stop_on_one_stops_what_the_other_shows(office: Office) -> None:
    here, there = office.alice(office.first), office.alice(office.second)
    said = say(here, STORY, model="echo")
    readers = [follow(here, said.generation), follow(there, said.generation)]
    for reader in readers:
        reader.wait_position(10)
    readers[1].stop()
    assert [reader.wait_end()["status"] for reader in readers] == ["stopped", "stopped"]


def test_r11_who_signs_out_on_one_is_out_on_the_other(office: Office) -> None:
    here = office.alice(office.first)
    session = next(cookie.value for cookie in here.jar if "session" in cookie.name)
    there = Person(office.second, "alice")
    there.jar = here.jar
    address = office.second.url.replace("http", "ws") + "/ws/"
    headers = {"Cookie": f"chatsite_session={session}"}
    with connect(address, origin=Origin(office.second.url), additional_headers=headers) as socket:
        here.get("/chat/")
        assert here.post("/logout").status in {200, 302}
        began = time.monotonic()
        with pytest.raises(Exception, match="4401"):
            hear_out(socket, seconds=10)
    assert time.monotonic() - began < 2


def hear_out(socket: ClientConnection, seconds: float) -> None:
    """Notices of what was said before may come before the end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        socket.recv(timeout=seconds)


def test_a_stream_of_the_api_goes_on_at_the_other(office: Office) -> None:
    """Events have numbers; who comes back with the last one misses none, wherever he comes."""
    key = office.first.manage("apikey", "alice").strip()
    events: list[Any] = []
    with OpenAI(base_url=f"{office.second.url}/v1", api_key=key, max_retries=0) as client:
        stream = client.responses.create(model="echo", input=STORY, stream=True, background=True)
        with suppress(APIConnectionError):
            for event in stream:
                events.append(event)
                if len(events) == 40:
                    office.second.die()
    assert events[-1].type != "response.completed"
    id, cursor = events[0].response.id, events[-1].sequence_number
    with OpenAI(base_url=f"{office.front.url}/v1", api_key=key, max_retries=2) as client:
        rest = client.responses.retrieve(id, stream=True, starting_after=cursor)
        events += list(rest)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.output_text == STORY


def test_calls_are_shared_out(office: Office) -> None:
    """Shared out over both; nobody is refused."""
    key = office.first.manage("apikey", "alice").strip()
    with OpenAI(base_url=f"{office.front.url}/v1", api_key=key, max_retries=0) as client:
        for number in range(10):
            answer = client.chat.completions.create(
                model="echo", messages=[{"role": "user", "content": f"number {number}"}]
            )
            assert answer.choices[0].message.content == f"number {number}"


def test_behind_nginx(office: Office) -> None:
    with balancing.behind_nginx([office.first.port, office.second.port]) as port:
        visitors = office.alice(Front(office.first, port))
        said = say(visitors, STORY, model="echo")
        readers = [follow(visitors, said.generation) for _ in range(4)]
        for reader in readers:
            reader.wait_position(20)
        office.second.die()
        for reader in readers:
            reader.wait_end()
            check(reader, STORY)


def test_https_ends_at_nginx(office: Office) -> None:
    """What the proxy says of how the visitor came decides of his cookies."""
    ports = [office.first.port, office.second.port]
    with balancing.behind_nginx(ports, proto="https") as port:
        page = Person(Front(office.first, port), "alice").get("/login")
    cookies = page.headers.get_all("Set-Cookie") or []
    assert cookies
    assert all("Secure" in cookie for cookie in cookies)


def test_no_web_without_tables(office: Office, tmp_path: Any) -> None:
    environment = office.first.env | {"CHATSITE_DATA_DIR": str(tmp_path), "DATABASE_URL": ""}
    command = [sys.executable, str(ROOT / "manage.py"), "web", "--port", str(free_port())]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "manage.py prepare" in done.stdout


def test_the_second_ends_kindly(office: Office) -> None:
    """The signal of a container's stop reaches the server itself."""
    process = office.second.up
    assert process is not None
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) in {0, -signal.SIGTERM}
    office.second.up = None


def test_all_web_processes_have_one_token_for_the_first_account(tmp_path: Any) -> None:
    """Nobody knows which of them will be asked."""
    site = Site(tmp_path)
    port = free_port()
    site.env["REDIS_URL"] = brokers.address(port)
    with brokers.server(port):
        assert "prepared" in site.manage("prepare")
        told = [token(site) for _ in range(2)]
    assert told[0] == told[1]
    assert len(told[0]) == 24


def token(site: Site) -> str:
    """What a web process that others can reach prints while there is no account."""
    command = [sys.executable, str(ROOT / "manage.py"), "web", "--host", "0.0.0.0"]  # noqa: S104
    with subprocess.Popen(
        [*command, "--port", str(free_port())],
        env=site.env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := re.search(r"/setup\?token=(\w+)", line):
                    return found[1]
        finally:
            process.kill()
    return ""
