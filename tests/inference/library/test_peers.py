"""A model comes from the machine of this site that has it: two real workers, a real process for
the copy. Whoever is killed, what arrives is what the catalogue knows."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace

import psutil

from inference.library import ledger
from inference.library.nouns import Errand, ErrandState
from inference.library.store import RESERVE, Store
from tests.inference.library.office import FILE, SIZE, WEIGHTS, Office, copy, office

__all__ = ["office"]
# Bytes per second: the file takes about four seconds.
PACE = {"CHATSITE_NODE_BYTES_PER_SECOND": "25000000"}


def state(office: Office, errand: Errand) -> ErrandState:
    return ledger.states(office.broker, [errand.id])[errand.id]


def until(
    office: Office, errand: Errand, when: Callable[[ErrandState], bool], seconds: float = 60
) -> ErrandState:
    """How it stands as soon as `when` holds. It never goes back."""
    end, most = time.monotonic() + seconds, 0
    while not when(now := state(office, errand)):
        if now.phase == "fetching":
            assert now.done >= most, "It went back."
            most = now.done
        assert time.monotonic() < end, f"It stays {now}."
        time.sleep(0.05)
    return now


def ended(now: ErrandState) -> bool:
    return now.state in {"done", "failed", "cancelled"}


def half(now: ErrandState) -> bool:
    return now.done > SIZE // 3


def begin(office: Office, **env: str) -> Errand:
    """Machine a has the model, machine b is told to get it."""
    folder, files = office.give("a")
    office.start("a", **env)
    office.start("b")
    giver, taker = office.workers(2)
    assert folder in giver.folders
    errand = copy(folder, files, giver.name, node=taker.name)
    assert ledger.enter(office.broker, errand)
    return errand


def arrived(office: Office, errand: Errand) -> None:
    now = until(office, errand, ended)
    assert now.state == "done", (now, (office.machine("b") / "worker.log").read_text()[-3000:])
    there = office.machine("b") / "models"
    assert (there / errand.folder / FILE).read_bytes() == WEIGHTS.read_bytes()
    assert not list((there / ".incoming").glob("*")), "Something was left behind."
    known = Store(office.machine("b")).manifest(errand.folder)
    assert known
    assert set(known.landed.files) == set(errand.files)


def test_it_works(office: Office) -> None:
    errand = begin(office)
    arrived(office, errand)
    now = state(office, errand)
    assert now.result
    assert now.result["folder"] == errand.folder
    # Both say so now.
    end = time.monotonic() + 5
    while not all(errand.folder in each.folders for each in office.workers(2)):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_who_takes_it_is_killed(office: Office) -> None:
    """What has come stays; its next worker goes on from there."""
    errand = begin(office, **PACE)
    until(office, errand, half)
    taker = office.running[1]
    children = taker.children()
    taker.kill()
    _gone, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    (part,) = (office.machine("b") / "models" / ".incoming").glob("*/*.part")
    held = part.stat().st_size
    assert held > SIZE // 3
    office.start("b")
    # It reads on from there, and not from the beginning.
    end = time.monotonic() + 30
    while not ended(now := state(office, errand)):
        assert not part.exists() or part.stat().st_size >= held
        assert time.monotonic() < end, now
        time.sleep(0.02)
    arrived(office, errand)


def test_who_gives_it_goes_away_and_comes_back(office: Office) -> None:
    """At another port then: the copy waits, says for whom, and goes on."""
    errand = begin(office, **PACE)
    until(office, errand, half)
    office.running[0].kill()
    waiting = until(office, errand, lambda now: bool(now.error))
    assert waiting.error
    assert waiting.error["kind"] in {"peer_away", "cut_off"}
    held = waiting.done
    office.start("a")
    arrived(office, errand)
    assert held > SIZE // 3


def test_another_machine_that_has_it_steps_in(office: Office) -> None:
    errand = begin(office, **PACE)
    until(office, errand, half)
    shutil.copytree(
        office.machine("a") / "models" / errand.folder,
        office.machine("c") / "models" / errand.folder,
    )
    office.start("c")
    office.workers(3)
    office.running[0].kill()
    arrived(office, errand)


def test_pause_and_cancel(office: Office) -> None:
    errand = begin(office, **PACE)
    until(office, errand, half)
    ledger.wish(office.broker, errand.id, "pause")
    until(office, errand, lambda now: now.state == "paused", 10)
    ledger.wish(office.broker, errand.id, "resume")
    until(office, errand, lambda now: now.state == "running" and now.phase == "fetching")
    ledger.wish(office.broker, errand.id, "cancel")
    until(office, errand, lambda now: now.state == "cancelled", 10)
    assert not list((office.machine("b") / "models" / ".incoming").glob("*"))
    assert Store(office.machine("b")).folders() == []


def test_other_bytes_are_refused(office: Office) -> None:
    """The machine that has them may be damaged or worse: the catalogue's hash decides."""
    folder, files = office.give("a")
    path = office.machine("a") / "models" / folder / FILE
    data = bytearray(path.read_bytes())
    data[SIZE // 2] ^= 1
    path.write_bytes(data)
    office.start("a")
    office.start("b")
    giver, taker = office.workers(2)
    errand = copy(folder, files, giver.name, node=taker.name)
    ledger.enter(office.broker, errand)
    end = time.monotonic() + 60
    while not ended(now := state(office, errand)):
        # It is fetched once more from its beginning, so the count goes back.
        assert time.monotonic() < end
        time.sleep(0.1)
    assert (now.state, now.error) == ("failed", {"kind": "wrong_hash", "file": FILE})
    assert Store(office.machine("b")).folders() == []


def test_the_disk_is_too_small(office: Office) -> None:
    """What is asked for does not fit: not a byte is fetched."""
    folder, files = office.give("a")
    office.start("a")
    office.start("b")
    giver, taker = office.workers(2)
    free = shutil.disk_usage(office.root).free
    huge = tuple(replace(each, size=free) for each in files)
    errand = copy(folder, huge, giver.name, node=taker.name)
    ledger.enter(office.broker, errand)
    now = until(office, errand, ended)
    assert now.state == "failed"
    assert now.error
    assert now.error["kind"] == "no_space"
    assert now.error["needed"] == free > now.error["free"] >= free - 2 * RESERVE
    assert not list((office.machine("b") / "models").glob(".incoming/*/*"))


def test_nobody_has_it(office: Office) -> None:
    folder, files = office.give("a")
    office.start("b")
    (taker,) = office.workers(1)
    errand = copy(folder, files, "away-abc-1", node=taker.name)
    ledger.enter(office.broker, errand)
    now = until(office, errand, ended)
    assert (now.state, now.error) == ("failed", {"kind": "peer_away", "host": "away-abc-1"})
