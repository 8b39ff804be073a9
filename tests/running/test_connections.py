"""How many connections each process has at most, under a hundred calls and many pages at once: as
docs/architecture.md says."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from openai import OpenAI

from tests import brokers, postgres
from tests.live import Site, free_port
from tests.running.reader import Reader
from tests.running.talking import say

pytestmark = pytest.mark.live
CALLS, PAGES, READERS = 100, 40, 10
# Smaller than what so many visitors would take without a bound.
DATABASE, REDIS = 6, 8
# Beside the pages' pool: the hub, its reading loop, those that ring, and a look at /readyz.
HUB, RINGS, LOOKS = 16 + 1, 4, 2


class Watch(threading.Thread):
    """Counts connections of the parts, many times a second; keeps the most."""

    def __init__(self, site: Site, ports: dict[str, int]) -> None:
        super().__init__(name="watch", daemon=True)
        self.parts = {part: site.pid(part) for part in ("web", "worker", "steward")}
        self.names = {port: name for name, port in ports.items()}
        self.most: Counter[tuple[str, str]] = Counter()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.05):
            for part, pid in self.parts.items():
                try:
                    links = psutil.Process(pid).net_connections("tcp")
                except psutil.NoSuchProcess:
                    # The test has failed, and the site ends.
                    return
                found = Counter(
                    self.names[link.raddr.port]
                    for link in links
                    if getattr(link.raddr, "port", None) in self.names
                    # One that is closing waits for nobody.
                    and link.status == psutil.CONN_ESTABLISHED
                )
                for name, count in found.items():
                    self.most[part, name] = max(self.most[part, name], count)


@pytest.fixture
def ports() -> dict[str, int]:
    return {"redis": free_port(), "postgres": free_port()}


@pytest.fixture
def site(ports: dict[str, int]) -> Iterator[Site]:
    folder = postgres.needed()
    with brokers.server(ports["redis"]), postgres.office(folder, ports["postgres"]) as database:
        site = Site(
            DATABASE_URL=database,
            REDIS_URL=brokers.address(ports["redis"]),
            CHATSITE_DATABASE_CONNECTIONS=str(DATABASE),
            CHATSITE_REDIS_CONNECTIONS=str(REDIS),
        )
        try:
            yield site.start()
        finally:
            site.remove()


def test_it_works(site: Site, ports: dict[str, int]) -> None:
    alice = site.person("alice")
    key = site.manage("apikey", "alice").strip()
    watch = Watch(site, ports)
    watch.start()
    readers = [
        Reader(alice, say(alice, "word " * 60, model="echo").generation) for _ in range(READERS)
    ]
    for reader in readers:
        reader.start()
    began = time.monotonic()
    with (
        OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0, timeout=120) as client,
        ThreadPoolExecutor(CALLS + PAGES) as crowd,
    ):
        calls = [crowd.submit(ask, client, number) for number in range(CALLS)]
        pages = [crowd.submit(alice.get, "/chat/") for _ in range(PAGES)]
        assert [call.result() for call in calls] == [f"number {n}" for n in range(CALLS)]
        assert {page.result().status for page in pages} == {200}
    for reader in readers:
        reader.wait_end()
    took = time.monotonic() - began
    watch.over.set()
    watch.join()
    for (part, name), most in sorted(watch.most.items()):
        print(f"\n{part:8} {name:9} {most:3} connections", end="")
    print(f"\n{CALLS} calls, {PAGES} pages and {READERS} readers in {took:.1f} s")
    assert watch.most["web", "postgres"] <= DATABASE
    assert watch.most["web", "redis"] <= REDIS + HUB + RINGS + LOOKS
    assert watch.most["steward", "postgres"] == 1
    assert watch.most["steward", "redis"] <= 1 + RINGS
    assert watch.most["worker", "postgres"] == 0
    assert watch.most["worker", "redis"] <= 20


def ask(client: OpenAI, number: int) -> str | None:
    messages = [{"role": "user", "content": f"number {number}"}]
    answer = client.chat.completions.create(model="echo", messages=messages)  # type: ignore[arg-type]
    return answer.choices[0].message.content
