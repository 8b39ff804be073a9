"""Further workers of a running site, each as if on a machine of its own: `manage.py worker` with a
data directory of its own, in a process group of its own.

    worker = Worker(url, tmp_path, CHATSITE_SLOTS="8").start()
    worker.wait(broker)             # it has reported; its name
    worker.kill()                   # kill -9, its engines and their children with it
    worker.stop()                   # SIGTERM, and it must end well
    worker.processes()              # what is still there of it, by the mark in the environment

`python` is the interpreter, for engines that live in an environment of their own; `prefix` stands
before the command, as `ip netns exec NAME` does.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import redis

from inference import board
from tests.live import ROOT, alive, clean_environment


class Worker:
    """Its data directory stays, so that it can be started again."""

    def __init__(
        self,
        url: str,
        data: Path,
        *,
        python: str | Path = sys.executable,
        prefix: tuple[str, ...] = (),
        **env: str,
    ) -> None:
        self.data = data
        self.command = [*prefix, str(python), str(ROOT / "manage.py"), "worker"]
        own = {"REDIS_URL": url, "CHATSITE_DATA_DIR": str(data), "PYTHONUNBUFFERED": "1"}
        self.env = clean_environment() | own | env
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Worker:
        self.data.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    @property
    def _log(self) -> Path:
        return self.data / "worker.log"

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def wait(self, broker: redis.Redis, seconds: float = 60) -> str:
        """Until it has reported; its name."""
        until = time.monotonic() + seconds
        while True:
            for state in board.workers(broker):
                if state.pid == self.pid:
                    return state.name
            assert self.process
            assert self.process.poll() is None, f"the worker has ended:\n{self.log()}"
            assert time.monotonic() < until, f"the worker does not report:\n{self.log()[-3000:]}"
            time.sleep(0.1)

    def engines(self) -> list[int]:
        """The engine children; a worker has others, which fetch and measure."""
        try:
            children = psutil.Process(self.pid).children()
            return [each.pid for each in children if "inference.engines.process" in each.cmdline()]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> list[int]:
        """All of it at once, as when the machine loses its power; the numbers that are gone."""
        try:
            tree = [psutil.Process(self.pid)]
            tree += tree[0].children(recursive=True)
        except psutil.NoSuchProcess:
            tree = []
        for process in tree:
            process.kill()
        psutil.wait_procs(tree, timeout=10)
        self._reap()
        return [process.pid for process in tree]

    def stop(self, seconds: float = 20) -> int:
        """End it kindly; its exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self.process = None
        return code

    def remove(self) -> None:
        """Whatever state it is in, nothing of it is left."""
        if self.process is not None:
            self.kill()
        for process in self.processes():
            process.kill()

    def processes(self) -> list[psutil.Process]:
        """Every live process of this worker, its children's children too."""
        return [each for each in psutil.process_iter() if alive(each) and self._owns(each)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("CHATSITE_DATA_DIR") == str(self.data)
        except (psutil.Error, OSError):
            return False

    def _reap(self) -> None:
        if self.process is not None:
            self.process.wait(10)
            self.process = None
