"""R24 on the running product: what is made of the schema is answered by real parts, and none of
them has to be started again."""

from __future__ import annotations

import http.client
import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from tests.live import Site
from tests.site.api.cases import Case, cases

pytestmark = pytest.mark.live
# Seconds for all operations together.
TIME = 40.0
PARTS = ("web", "worker", "steward", "valkey")
HELLO = {"model": "echo", "messages": [{"role": "user", "content": "Still here"}]}


@pytest.fixture
def key(site: Site) -> str:
    site.wait_ready()
    site.person("bob")
    return site.manage("apikey", "bob").strip()


def send(site: Site, key: str, case: Case) -> tuple[int, bytes]:
    """As a program does, with the demo's model, whose answers are as short as what is said."""
    line = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        line.request(case.method, case.address, case.data("echo"), headers)
        answer = line.getresponse()
        return answer.status, answer.read()
    finally:
        line.close()


def test_it_works(site: Site, key: str) -> None:
    made = cases(json.loads(send(site, key, Case("GET", "/v1/schema", {}))[1]))
    before = {part: site.pid(part) for part in PARTS}
    assert len(made) > 8
    seen: dict[int, int] = {}

    def hunt(wanted: SearchStrategy[Case], many: int, until: float) -> None:
        @settings(
            max_examples=many, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(st.data())
        def check(data: DataObject) -> None:
            case = data.draw(wanted)
            if time.monotonic() > until:
                return
            status, body = send(site, key, case)
            seen[status] = seen.get(status, 0) + 1
            assert status < 500, (case, body)

        check()

    for place, wanted in made.items():
        hunt(wanted, 60 if place[1] == "post" else 10, time.monotonic() + TIME / len(made))
    print(f"Answers by status: {dict(sorted(seen.items()))}")
    assert seen.keys() >= {200, 400, 404}
    assert before == {part: site.pid(part) for part in PARTS}
    status, body = send(site, key, Case("POST", "/v1/chat/completions", {}, HELLO))
    assert (status, json.loads(body)["choices"][0]["message"]["content"]) == (200, "Still here")
