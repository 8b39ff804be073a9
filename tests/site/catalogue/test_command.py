"""`manage.py models` fetches, carries and removes while the site runs, and says how it goes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import redis
from django.core.management import call_command

from chatsite.accounts.models import User
from chatsite.catalogue import deliveries, library
from chatsite.catalogue.models import Delivery, Model
from chatsite.gateway.library import LibraryError
from chatsite.management.progress import Progress, line, size
from tests.site.catalogue.working import COMMIT, VARIANT, Hub, Worker, landed, step

pytestmark = pytest.mark.django_db(transaction=True)
Capture = pytest.CaptureFixture[str]


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def hub(broker: redis.Redis, alice: User) -> Iterator[Hub]:
    hub = Hub(broker)
    hub.start()
    yield hub
    hub.close()


def run(*words: str) -> int:
    """Its exit status."""
    try:
        call_command("models", *words)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_it_works(hub: Hub, capsys: Capture) -> None:
    assert run("pull", "owner/tiny-GGUF:Q4_K_M", "--name", "ours") == 0
    said = capsys.readouterr()
    assert "ours is ready to use: manage.py chat ours" in said.out
    # Over a pipe there are whole lines, and few.
    lines = said.err.splitlines()
    assert any("250 B of 1 kB" in each for each in lines), lines
    assert len(lines) < 12
    assert "\r" not in said.err
    assert Model.objects.get().name == "ours"
    assert run("pull", "owner/tiny-GGUF:Q4_K_M") == 0
    assert "here already" in capsys.readouterr().out
    assert run("list") == 0
    assert capsys.readouterr().out.split()[:5] == ["ours", "llamacpp", "enabled", "1", "kB"]


def test_on_a_terminal_there_is_one_line_that_moves(hub: Hub) -> None:
    row = deliveries.begin_download(None, "owner/tiny-GGUF", COMMIT, VARIANT)
    screen = Terminal()
    done = Progress(screen).follow(row.pk)
    assert done.state == "done"
    said = screen.getvalue()
    assert said.endswith("\n")
    assert said.count("\n") == 1
    assert said.count("\r") > 3
    assert "[######" in said


def test_ctrl_c_pauses_and_says_how_to_go_on(
    broker: redis.Redis, alice: User, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(broker)
    row = deliveries.begin_download(alice, "owner/tiny-GGUF", COMMIT, VARIANT)
    claim = worker.take()
    worker.tell(claim, phase="fetching", done=500, total=1000)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def underway(*_: Any) -> Delivery:
        return deliveries.begin_download(alice, "owner/tiny-GGUF", COMMIT, VARIANT)

    monkeypatch.setattr(library, "pull", underway)
    with monkeypatch.context() as patch:
        patch.setattr("chatsite.management.progress.time.sleep", interrupt)
        assert run("pull", "owner/tiny-GGUF:Q4_K_M") == 130
    said = capsys.readouterr().err
    assert "Paused" in said
    assert "manage.py models pull owner/tiny-GGUF:Q4_K_M" in said
    assert worker.tell(claim) == "pause"
    worker.finish(claim, "paused")
    assert step(row).state == "paused"
    # The same command goes on with it.
    with monkeypatch.context() as patch:
        patch.setattr(
            "chatsite.management.progress.time.sleep", lambda _: worker.bring(worker.take())
        )
        assert run("pull", "owner/tiny-GGUF:Q4_K_M") == 0
    assert "tiny is ready" in capsys.readouterr().out


def test_import_takes_a_path_as_it_is_meant_here(
    hub: Hub, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("socket.gethostname", lambda: "box")
    assert run("import", "tiny.gguf", "--name", "ours") == 0
    row = Delivery.objects.get()
    assert (row.path, row.node, row.kind) == (str(tmp_path / "tiny.gguf"), "box-1", "import")
    assert Model.objects.get().enabled


def test_export_and_remove(hub: Hub, capsys: Capture, tmp_path: Any) -> None:
    told = landed("tiny-abab")
    Model.objects.create(
        name="tiny", source={"store": "tiny-abab/x.gguf"}, landed=told, node="box-1"
    )
    assert run("export", "tiny", str(tmp_path)) == 0
    assert capsys.readouterr().out.strip().endswith(str(tmp_path / "tiny.tar"))
    assert run("remove", "tiny", "--yes") == 0
    assert "1 kB leave the disk" in capsys.readouterr().out
    assert not Model.objects.exists()
    assert Delivery.objects.filter(kind="remove", folder="tiny-abab").exists()
    assert run("remove", "tiny", "--yes") == 1
    assert "models list" in capsys.readouterr().err


def test_without_a_site_it_says_so(alice: User, broker: redis.Redis, capsys: Capture) -> None:
    assert run("pull", "owner/tiny-GGUF") == 1
    assert "No worker is running" in capsys.readouterr().err
    done = subprocess.run(
        [sys.executable, "manage.py", "models", "pull", "owner/tiny", "--data-dir", "/nonexistent"],
        capture_output=True,
        text=True,
        env={"PATH": "", "REDIS_URL": "unix:///nonexistent/socket", "LANG": "en"},
        check=False,
    )
    assert done.returncode == 1
    assert "The site is not running" in done.stderr
    assert "Traceback" not in done.stderr
    assert not Delivery.objects.exists()


def test_what_goes_wrong_is_said_in_words(hub: Hub, capsys: Capture) -> None:
    hub.error = LibraryError("gated")
    assert run("pull", "owner/tiny-GGUF") == 1
    assert "accept" in capsys.readouterr().err
    hub.error, hub.failure = None, {"kind": "wrong_hash"}
    assert run("pull", "owner/tiny-GGUF:Q4_K_M") == 1
    assert "not the one that the hub describes" in capsys.readouterr().err
    assert run("pull", "no model") == 1
    assert "owner/name" in capsys.readouterr().err
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "2 kB"), (94e6, "94.0 MB"), (7e9, "7.0 GB")],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


def test_what_is_left_is_told(alice: User) -> None:
    row = Delivery(state="running", phase="fetching", done=2_000_000, total=8_000_000, speed=1e5)
    assert line(row, bar=False) == "fetching   25 %  2.0 MB of 8.0 MB  100 kB/s  1:01 left"
