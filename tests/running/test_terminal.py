"""`manage.py chat` on a real terminal and over a pipe, with the really running product."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.live import ROOT, Site
from tests.running.talking import STARTER

pytestmark = pytest.mark.live

LAST = """
from chatsite.gateway.models import Generation
row = Generation.objects.order_by("created").last()
print(row.status, row.owner.username, row.request["sampling"]["temperature"])
"""
SLOW = """
from chatsite.catalogue.models import Model
Model.objects.filter(name="echo").update(settings={"delay_ms": 100})
"""
ECHO = "echo"


class Terminal:
    """A program on a terminal of its own: what it shows is read, keys are pressed."""

    def __init__(self, site: Site, *arguments: str, command: str = "chat") -> None:
        self.shown = ""
        self._master, slave = pty.openpty()
        env = {**site.env, "TERM": "xterm", "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), command, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            cwd=ROOT,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        os.close(slave)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait(self, pattern: str, seconds: float = 40) -> re.Match[str]:
        """Until this is shown, after all that was waited for before."""
        until = time.monotonic() + seconds
        while True:
            if found := re.search(pattern, self.shown, re.DOTALL):
                self.shown = self.shown[found.end() :]
                return found
            left = until - time.monotonic()
            assert left > 0, f"not shown: {pattern}\n{self.shown[-2000:]!r}"
            self._read(left)

    def _read(self, seconds: float) -> None:
        if select.select([self._master], [], [], seconds)[0]:
            try:
                self.shown += os.read(self._master, 65536).decode(errors="replace")
            except OSError:
                pytest.fail(f"it has ended:\n{self.shown[-2000:]}")

    def ended(self, seconds: float = 20) -> int:
        """Its exit status, when it has ended; what it shows at last is read meanwhile."""
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < until, f"it goes on:\n{self.shown[-2000:]!r}"
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._master, 65536).decode(errors="replace")
                except OSError:
                    time.sleep(0.05)
        return int(self.process.returncode)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)


def take_terminal() -> None:
    """In the child: the terminal is its own, so that Ctrl-C reaches it."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def open_terminal(site: Site) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def new(*arguments: str) -> Terminal:
        made.append(Terminal(site, *arguments))
        return made[-1]

    yield new
    for terminal in made:
        terminal.close()


@pytest.fixture(scope="module", autouse=True)
def people(site: Site) -> None:
    site.wait_ready()
    site.person("alice")
    site.person("bob")


def pipe(
    site: Site, text: str | bytes, *arguments: str, **env: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "chat", *arguments],
        input=text.encode() if isinstance(text, str) else text,
        env=site.env | env,
        cwd=ROOT,
        capture_output=True,
        timeout=90,
    )


@contextmanager
def slow_echo(site: Site) -> Iterator[None]:
    """The echo takes its time, so that it can be interrupted."""
    site.shell(SLOW)
    try:
        yield
    finally:
        site.shell(SLOW.replace('{"delay_ms": 100}', "{}"))


def test_it_works(open_terminal: Callable[..., Terminal], site: Site) -> None:
    """A conversation with real weights: it streams, and remembers what was said."""
    terminal = open_terminal(STARTER, "--temperature", "0", "--max-tokens", "16")
    terminal.wait(f"{STARTER}.*>>> ")
    terminal.type("My name is Bob. Say hello to me.\r")
    first = terminal.wait(r"\n(.+?)\r\n>>> ").group(1)
    assert len(first) > 3
    terminal.type("/retry\r")
    assert terminal.wait(r"\n(.+?)\r\n>>> ").group(1).strip().endswith(first.strip()[-10:])
    terminal.type("/bye\r")
    assert terminal.ended() == 0
    assert status(site, "done")
    assert site.shell(LAST).split()[1:] == ["alice", "0.0"]


def test_ctrl_c_stops_the_answer_and_not_the_program(
    open_terminal: Callable[..., Terminal], site: Site
) -> None:
    with slow_echo(site):
        terminal = open_terminal(ECHO)
        terminal.wait(">>> ")
        terminal.type(" ".join(f"w{number}" for number in range(200)) + "\r")
        terminal.wait(r"\n.*w3 w4 ")
        terminal.type("\x03")
        rest = terminal.wait(r"(.*?)\r\n>>> ").group(1)
        assert "w199" not in rest
        assert status(site, "stopped")
        terminal.type("once more\r")
        terminal.wait(r"\nonce more\r\n>>> ")
        terminal.type("\x04")
        assert terminal.ended() == 0


def status(site: Site, wanted: str) -> bool:
    """Whether the last answer comes to this; the steward closes it a moment later."""
    until = time.monotonic() + 15
    while time.monotonic() < until:
        if site.shell(LAST).split()[0] == wanted:
            return True
        time.sleep(0.3)
    return False


def test_ctrl_c_twice_at_the_prompt_leaves(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal(ECHO)
    terminal.wait(">>> ")
    # Readline shows its prompt a moment before it listens.
    time.sleep(0.5)
    terminal.type("\x03")
    terminal.wait("Ctrl-C once more.*>>> ")
    time.sleep(0.5)
    terminal.type("\x03")
    assert terminal.ended() == 0


def test_real_weights_stop_in_the_middle(
    open_terminal: Callable[..., Terminal], site: Site
) -> None:
    terminal = open_terminal(STARTER)
    terminal.wait(">>> ")
    terminal.type("Count from one to ten thousand, one number on each line.\r")
    terminal.wait(r"\n\S+.*?\n?\S+ ?\S+")
    terminal.type("\x03")
    terminal.wait(r"\r\n>>> ")
    terminal.type("/bye\r")
    assert terminal.ended() == 0
    assert status(site, "stopped") or status(site, "done")


def test_orders(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal(ECHO)
    for keys, shown in [
        ("/help", "/retry"),
        ("/models", rf"\* echo.*{STARTER}|{STARTER}.*\* echo"),
        ("/set temperature 9", "from 0 to 2"),
        ("/set top_k 7", "top_k 7"),
        ("/nothing", "There is no /nothing"),
        ("/retry", "Nothing has been said"),
        ("//slash", r"\n[^\n]*[^/]/slash\r\n"),
        ("/model nobody", "no model named nobody"),
        (f"/model {STARTER}", rf"\n{STARTER}\r\n"),
        ("/model echo", r"\necho\r\n"),
    ]:
        terminal.wait(">>> ")
        terminal.type(keys + "\r")
        terminal.wait(shown)
    terminal.wait(">>> ")
    terminal.type('"""one\r')
    terminal.wait(r"\.\.\. ")
    terminal.type('two"""\r')
    terminal.wait(r"\none\r\ntwo\r\n>>> ")
    terminal.type("/clear\r")
    terminal.wait(">>> ")
    terminal.type("/retry\r")
    terminal.wait("Nothing has been said")
    terminal.wait(">>> ")
    terminal.type("\x04")
    assert terminal.ended() == 0


def test_a_pipe_in_and_a_pipe_out(site: Site) -> None:
    done = pipe(site, "one two\nthree\n", ECHO)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"one two\nthree\n", b"")


def test_real_weights_over_a_pipe(site: Site) -> None:
    options = [STARTER, "--temperature", "0", "--max-tokens", "8", "--system", "Be brief."]
    first, second = (pipe(site, "Say hello.", *options, "--user", "bob") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert len(first.stdout) > 5
    assert b"\033" not in first.stdout
    assert status(site, "done")
    assert site.shell(LAST).split()[1:] == ["bob", "0.0"]


@pytest.mark.parametrize(
    ("text", "arguments", "word"),
    [
        ("hi", ["nobody"], b"no model named nobody"),
        ("hi", [ECHO, "--user", "nobody-here"], b"nobody-here"),
        ("hi", [ECHO, "--temperature", "9"], b"from 0 to 2"),
        (" \n", [ECHO], b"empty"),
        ("x " * 5000, [ECHO], b"4096"),
    ],
    ids=["model", "user", "temperature", "blank", "long"],
)
def test_errors_over_a_pipe(site: Site, text: str, arguments: list[str], word: bytes) -> None:
    done = pipe(site, text, *arguments)
    assert done.returncode == 1
    assert word in done.stderr
    assert done.stdout.strip() == b""
    assert b"Traceback" not in done.stderr


def test_the_site_is_found_by_its_data_directory(site: Site) -> None:
    done = pipe(site, "hi", ECHO, "--data-dir", str(site.data), CHATSITE_DATA_DIR="")
    assert (done.returncode, done.stdout) == (0, b"hi\n"), done.stderr


def test_bytes_that_are_no_text_are_said_as_far_as_they_are(site: Site) -> None:
    done = pipe(site, b"a \xff\x00 b", ECHO)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"a ")


def test_ctrl_c_stops_a_pipe(site: Site) -> None:
    with slow_echo(site):
        command = [sys.executable, str(ROOT / "manage.py"), "chat", ECHO]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=site.env, cwd=ROOT
        ) as process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(b"word " * 300)
            process.stdin.close()
            assert process.stdout.read(4) == b"word"
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(20) == 130
        assert len(rest) < 300 * 5 - 100
        assert status(site, "stopped")


def test_a_reader_that_leaves_stops_the_answer(site: Site) -> None:
    with slow_echo(site):
        command = [sys.executable, str(ROOT / "manage.py"), "chat", ECHO]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=site.env,
            cwd=ROOT,
        ) as process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            process.stdin.write(b"word " * 300)
            process.stdin.close()
            process.stdout.read(4)
            process.stdout.close()
            assert process.wait(20) == 1
            assert b"Traceback" not in process.stderr.read()
        assert status(site, "stopped")


def test_a_site_that_does_not_run_says_so(new_site: Callable[..., Site]) -> None:
    site = new_site(start=False)
    done = pipe(site, "hi", ECHO)
    assert done.returncode == 1
    assert b"manage.py up" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_first_account_is_asked_for(new_site: Callable[..., Site]) -> None:
    done = pipe(new_site(), "hi", ECHO)
    assert done.returncode == 1
    assert b"/setup" in done.stderr
