"""R4: a file is loaded for the first time in a process that has nothing but that file, and whatever
happens to it is a reason for a refusal and never a dead worker."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inference.contract import ModelSpec
from inference.engines.base import Setup
from inference.engines.echo import EchoEngine
from inference.engines.weights import locate
from inference.library import probe
from inference.library.nouns import LibraryError
from tests.inference.weights import SOURCE

ROOT = Path(__file__).resolve().parents[3]
ENGINES = {
    "crash": "tests.running.engines:CrashingEngine",
    "hang": f"{__name__}:HangingEngine",
    "greedy": f"{__name__}:GreedyEngine",
}
CONFINED = """
import sys
from inference.library.jail import Bounds, confine
applied = confine(Bounds(memory=256 << 20, computing=20))
def tried(work):
    try:
        work()
    except Exception as error:
        return type(error).__name__
    return "done"
def in_a_thread():
    import threading
    told = []
    thread = threading.Thread(target=lambda: told.append(tried(connect)))
    thread.start()
    thread.join()
    if told != ["PermissionError"]:
        raise ValueError
    raise PermissionError
def connect():
    import socket
    socket.create_connection(("127.0.0.1", 9))
def start():
    import os
    os.execv("/bin/true", ["true"])
def write():
    with open(sys.argv[1], "wb") as file:
        file.write(b"x")
        file.flush()
def grow():
    bytearray(1 << 30)
print(applied, *(tried(work) for work in (connect, in_a_thread, start, write, grow)))
"""


class HangingEngine(EchoEngine):
    """Computes for ever."""

    def load(self, spec: ModelSpec, setup: Setup, report: Any) -> Any:
        while True:
            pass


class GreedyEngine(EchoEngine):
    """Takes more memory than its file explains."""

    def load(self, spec: ModelSpec, setup: Setup, report: Any) -> Any:
        self.kept = bytearray(64 << 30)
        return super().load(spec, setup, report)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cell finds the engines of this test, which a real one never does."""
    named = ",".join(f"{name}={place}" for name, place in ENGINES.items())
    monkeypatch.setenv("CHATSITE_ENGINES", named)
    monkeypatch.setattr(probe, "KEPT", (*probe.KEPT, "CHATSITE_ENGINES"))


def quiet(news: dict[str, Any]) -> None:
    assert news["phase"] == "testing"


def refused(path: Path, engine: str) -> str:
    with pytest.raises(LibraryError) as error:
        probe.try_out(path, engine, quiet)
    assert error.value.kind == "refused"
    return str(error.value.facts["reason"])


@pytest.mark.skipif(platform.machine() not in {"x86_64", "aarch64"}, reason="no filter for it")
def test_it_works() -> None:
    good = probe.try_out(locate(SOURCE), "llamacpp", quiet)
    assert set(good["defences"]) == {"no_core", "no_files", "computing", "memory", "no_network"}
    assert probe.try_out(locate(SOURCE), "llamacpp-embed", quiet)["defences"] == good["defences"]


@pytest.mark.skipif(platform.machine() not in {"x86_64", "aarch64"}, reason="no filter for it")
def test_the_jail_holds(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, str(tmp_path / "written")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = done.stdout.split("] ")[1].split()
    assert told == ["PermissionError"] * 3 + ["OSError", "MemoryError"], done.stderr
    assert (tmp_path / "written").read_bytes() == b""


def test_no_secret_goes_in(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    for name in ("CHATSITE_SECRET_KEY", "HF_TOKEN", "REDIS_URL", "DATABASE_URL"):
        monkeypatch.setenv(name, "secret")
    given: dict[str, str] = {}
    real = subprocess.Popen

    def start(*args: Any, **kwargs: Any) -> Any:
        given.update(kwargs["env"])
        return real(*args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", start)
    assert refused(file, "llamacpp") == "cannot_load"
    assert given
    assert "secret" not in given.values()
    assert os.environ["HF_TOKEN"] == "secret"


def test_a_file_that_cannot_be_loaded(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(locate(SOURCE).read_bytes()[: 20 << 20])
    assert refused(cut, "llamacpp") == "cannot_load"


@pytest.mark.usefixtures("engines")
def test_what_crashes_with_fast_kernels_alone_is_good(file: Path) -> None:
    assert probe.try_out(file, "crash", quiet)["fast"] is False


@pytest.mark.usefixtures("engines")
def test_what_takes_too_much_is_refused(file: Path) -> None:
    assert refused(file, "greedy") == "cannot_compute"


@pytest.mark.usefixtures("engines")
def test_what_never_ends_is_ended(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PATIENCE", 2.0)
    assert refused(file, "hang") == "too_slow"
