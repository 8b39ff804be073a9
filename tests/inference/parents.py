"""An engine for tests that starts processes of its own, as those do that compute on several
cards; and a worker that has one."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from inference.child import Child
from inference.contract import ModelSpec
from inference.engines.base import Info, Setup
from inference.engines.echo import EchoEngine


class Parent(EchoEngine):
    """Settings: `pids` is the file into which it writes the numbers of its processes: one that
    multiprocessing started, and another program."""

    def load(self, spec: ModelSpec, setup: Setup, report: Callable[[float], None]) -> Info:
        context = multiprocessing.get_context("spawn")
        own = context.Process(target=time.sleep, args=(600,))
        own.start()
        other = subprocess.Popen(["sleep", "600"])
        pids = {"own": own.pid, "other": other.pid}
        Path(spec.settings["pids"]).write_text(json.dumps(pids))
        return super().load(spec, setup, report)


def spec(pids: Path) -> ModelSpec:
    return ModelSpec("m", "parent", {}, {"pids": str(pids)})


def worker(records: str, told: str) -> None:
    """Start an engine for a spec, which is told as JSON, and wait to be killed."""
    child = Child(Path(records))
    child.load(ModelSpec.from_dict(json.loads(told)), Setup())
    while not any("ready" in message for message in child.read(1, 0)):
        pass
    print(child.pid, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    worker(*sys.argv[1:])
