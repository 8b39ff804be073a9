"""Redis and PostgreSQL are restarted while the site is in use: nothing is lost, and what failed
meanwhile goes through when it is tried again.

CHATSITE_FAILURE_ROUNDS=20 restarts each of them ten times; the default is once.
"""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.office.load import Load
from tests.office.office import Office, Question, ask, finish, look, until
from tests.running.asking import count
from tests.running.judging import ROUNDS, Total

pytestmark = pytest.mark.live

# Seconds until the answers go on, of which Redis is away for one.
GAP = 10.0
TIMES = max(1, ROUNDS // 2)
WORDS = [" ".join(f"{name}{n}" for n in range(200)) for name in ("red", "blue", "green", "grey")]
# Of what was said since the load began: how the answers ended, and what was said how often.
LOOK = """
import json, os
from chatsite.chat.models import Message
from chatsite.gateway.models import Generation
said = json.loads(os.environ["SAID"])
print(json.dumps({
    text: [
        Message.objects.filter(role="user", content=text).count(),
        list(
            Message.objects.filter(parent__content=text)
            .values_list("content", "generation__status")
        ),
    ]
    for text in said
}))
"""


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL])
def test_redis(office: Office, way: signal.Signals) -> None:
    """Ended as its service manager does it, and as the kernel does where memory is short."""
    total = Total()
    for _ in range(TIMES):
        asked = [ask(office.alice, Question("echo", text)) for text in WORDS * 2]
        for each in asked:
            each.reader.wait_position(40)
        look(office.site, asked)
        began = time.monotonic()
        office.broker_server.restart(way)
        finish(office.site, asked, total, began)
        assert [each.logged.text.strip() for each in asked] == WORDS * 2
    gaps = sorted(total.gaps)
    print(f"\nRedis, {way.name}: gap {gaps[len(gaps) // 2]:.1f} / {gaps[-1]:.1f} s")
    assert (total.lost, total.repeated, total.restarted) == (0, 0, 0), total.remarks
    assert gaps[-1] < GAP


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGQUIT])
def test_postgresql(office: Office, way: signal.Signals) -> None:
    """In its fast mode (all connections are ended) and in its immediate one (as if it had
    crashed)."""
    steward = office.site.pid("steward")
    with Load(office.site, office.key) as load:
        for _ in range(TIMES):
            load.grow(10)
            office.database.restart(way)
            load.grow(10)
    print(f"\nPostgreSQL, {way.name}: {load.report()}")
    assert load.failures == []
    assert all(load.said.values())
    assert all(answer == text for text, answer in load.called.items())
    until(lambda: count(office.site, "live") == 0, 30, "for the steward")
    rows = json.loads(office.site.shell(LOOK, SAID=json.dumps(list(load.said))))
    assert {text: [1, [[text, "done"]]] for text in load.said} == rows
    # It went on by itself; nobody had to start it again.
    assert office.site.pid("steward") == steward
