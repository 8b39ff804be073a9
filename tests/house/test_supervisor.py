"""The small pieces of `up`, without starting anything; the whole is in tests/running/test_up.py."""

from __future__ import annotations

import io
import os
import signal
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import psutil
import pytest
from pytest_django import Settings

from chatsite.proxies import named
from chatsite.supervisor import address, broker, keeper, lock, pids, sockets
from chatsite.supervisor.terminal import GOOD, Terminal
from chatsite.supervisor.trouble import Trouble


def test_a_socket_path_is_short_however_deep_the_data_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = Path("/srv") / ("long-name-" * 20)
    assert len(os.fsencode(sockets.broker(deep))) < sockets.LONGEST
    assert sockets.broker(deep) != sockets.broker(deep / "other")
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "x" * 100)  # noqa: S108 - only a name
    assert len(os.fsencode(sockets.broker(deep))) < sockets.LONGEST


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / "folder").symlink_to(target)
    with pytest.raises(Trouble) as caught:
        broker.make_folder(tmp_path / "folder" / "valkey.sock")
    assert caught.value.kind == "socket"


def test_the_lock_is_free_again_when_its_holder_ends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with lock.claim(data, "http://127.0.0.1:1/"):
        with pytest.raises(Trouble, match=r"http://127\.0\.0\.1:1/"):
            lock.claim(data, "http://127.0.0.1:2/")
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
    lock.claim(data, "http://127.0.0.1:2/").close()


def test_ends_are_told_in_words() -> None:
    assert keeper.words(1) == "exited with code 1"
    assert keeper.words(-signal.SIGKILL) == "was killed by signal 9 (SIGKILL)"


def test_big_logs_begin_anew(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_bytes(b"x" * (keeper.LOG_LIMIT + 1))
    keeper.rotate(log)
    assert not log.exists()
    assert (tmp_path / "web.log.1").stat().st_size > keeper.LOG_LIMIT


def test_colours_are_for_terminals_only() -> None:
    stream = io.StringIO()
    Terminal(stream).part("web", "ready", GOOD)
    assert "\033" not in stream.getvalue()
    assert "web      ready" in stream.getvalue()


def test_a_terminal_that_is_gone_stops_nothing() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream)
    stream.close()
    terminal.say("still here")


def test_addresses() -> None:
    assert address.url("::1", 8000) == "http://[::1]:8000/"
    assert address.url("chat", 80, "/setup") == "http://chat:80/setup"
    assert address.reachable("192.0.2.7") == ["192.0.2.7"]
    assert all(not found.startswith("0.") for found in address.reachable("0.0.0.0"))  # noqa: S104


def test_a_proxy_lets_others_in_where_nobody_listens_to_them(settings: Settings) -> None:
    """The first account needs the token then, too."""
    assert address.others_come("0.0.0.0")  # noqa: S104 - the case
    assert not address.others_come("127.0.0.1")
    settings.CHATSITE_PROXIES = named(["127.0.0.1"])
    assert address.others_come("127.0.0.1")
    settings.CHATSITE_PROXIES, settings.CHATSITE_HTTPS = (), True
    assert address.others_come("127.0.0.1")


def test_an_ipv6_address_is_opened_by_the_web_part() -> None:
    if not socket.has_dualstack_ipv6():
        with pytest.raises(Trouble):
            address.listen("::1", 0)
        return
    listener = address.listen("::1", 0)
    assert listener.inherited() == ()
    assert listener.options() == ("-b", "::1", "-p", "0")


@pytest.mark.parametrize(
    ("host", "port", "kind"), [("no.such.invalid", 0, "host"), ("127.0.0.1", 99999, "port")]
)
def test_what_cannot_be_opened_is_named(host: str, port: int, kind: str) -> None:
    with pytest.raises(Trouble) as caught:
        address.listen(host, port)
    assert caught.value.kind == kind


def test_only_marked_processes_are_ended(tmp_path: Path) -> None:
    mine = subprocess.Popen(["sleep", "60"], env=os.environ | pids.mark(tmp_path))
    other = subprocess.Popen(["sleep", "60"], env=os.environ | pids.mark(tmp_path / "other"))
    try:
        assert pids.reap(tmp_path) == 1
        assert mine.wait(5) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_it_never_ends_itself(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "parts"
    folder.mkdir(parents=True)
    pids.record(tmp_path, "web", os.getpid())
    assert psutil.Process() not in pids.belonging(tmp_path)
