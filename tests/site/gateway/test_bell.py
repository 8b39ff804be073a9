"""A crowd's rings become few, and none is lost: after each comes one that it is meant by."""

from __future__ import annotations

import threading
import time

import pytest

from chatsite.gateway import bell

Sent = list[tuple[str, float]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    heard: Sent = []
    monkeypatch.setattr(bell, "call", lambda _task, model: heard.append((model, time.monotonic())))
    return heard


def test_the_first_ring_goes_at_once(sent: Sent) -> None:
    bell.Ringer().ring("m")
    assert [model for model, _ in sent] == ["m"]


def test_models_do_not_wait_for_each_other(sent: Sent) -> None:
    ringer = bell.Ringer()
    for model in ("a", "b", "c"):
        ringer.ring(model)
    assert [model for model, _ in sent] == ["a", "b", "c"]


def test_a_crowd_rings_together_and_nobody_is_missed(sent: Sent) -> None:
    ringer = bell.Ringer()
    asked: list[float] = []

    def ask() -> None:
        for _ in range(20):
            asked.append(time.monotonic())
            ringer.ring("m")
            time.sleep(0.0005)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until = time.monotonic() + 5
    while sent[-1][1] < max(asked) and time.monotonic() < until:
        time.sleep(0.005)
    assert sent[-1][1] >= max(asked)
    assert len(sent) < len(asked) / 2


def test_who_rings_later_is_heard_again(sent: Sent) -> None:
    ringer = bell.Ringer()
    ringer.ring("m")
    time.sleep(2 * bell.TOGETHER)
    ringer.ring("m")
    assert len(sent) == 2
