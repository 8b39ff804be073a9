"""A worker as a process of its own, for tests that kill it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil

from chatsite.supervisor.parts import worker_command
from tests.live import ROOT


class Worker:
    """What `manage.py worker` becomes, with short leases."""

    def __init__(self, url: str, data: Path, **env: str) -> None:
        data.mkdir(exist_ok=True)
        self._log = (data / "worker.log").open("ab")
        self._process = subprocess.Popen(
            worker_command(),
            cwd=ROOT,
            env=os.environ
            | {
                "REDIS_URL": url,
                "CHATSITE_DATA_DIR": str(data),
                "CHATSITE_LEASE_MS": "2000",
                **env,
            },
            stdout=self._log,
            stderr=self._log,
        )

    def children(self) -> list[psutil.Process]:
        """Processes that do errands, and what those started."""
        try:
            found = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [each for each in found if each.is_running()]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(20)
