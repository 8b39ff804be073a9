"""The engine of one Host: its child process, what that can do, and how lively it is. It knows no
request."""

from __future__ import annotations

import logging
import statistics
import time
from dataclasses import dataclass, field, replace
from typing import Any

from inference import descent
from inference.board import EngineState
from inference.child import Child, ChildDiedError
from inference.contract import Job, ModelSpec
from inference.engines.base import Info, Setup
from inference.hardware import CRASHES, Verdicts
from inference.settings import Settings

log = logging.getLogger(__name__)


# Seconds of an answer that is alone, of whose speeds the median is remembered.
SAMPLES = 5


@dataclass(slots=True)
class Pulse:
    """When the child last spoke, and how slow its slowest step was, in seconds."""

    last: float = field(default_factory=time.monotonic)
    slowest: float = 0.0

    def beat(self) -> None:
        now = time.monotonic()
        self.slowest, self.last = max(self.slowest, now - self.last), now


class Motor:
    """Off, loading (`child` without `info`) or on. Its Host's thread alone uses it."""

    def __init__(self, settings: Settings) -> None:
        self.child: Child | None = None
        self.spec: ModelSpec | None = None
        self.info: Info | None = None
        # What the engine last said of itself, and how far its loading is.
        self.figures: dict[str, float] = {}
        self.fraction = 0.0
        self._settings = settings
        self._verdicts = Verdicts(settings.data_dir / "engine" / "verdicts.json")
        self._setup = Setup()
        self._pulse = Pulse()
        # Tokens per second while one answer was alone, of the last seconds.
        self._speeds: list[float] = []

    def start(self, spec: ModelSpec, setup: Setup) -> None:
        """Begin to load; kernels that crashed here and the fastest threads are remembered."""
        known = self._verdicts.about(spec)
        self.spec, self.info = spec, None
        self._setup = replace(setup, fast=known.fast, threads=known.threads)
        self.figures, self.fraction, self._speeds = {}, 0.0, []
        self.child = Child(self._settings.data_dir / "run" / "engines")
        self._pulse = Pulse()
        log.info("%s: loading in process %s.", spec.name, self.child.pid)
        self.child.load(spec, self._setup)

    def ready(self, info: Info) -> int:
        """It is loaded; how many jobs it takes, never fewer than it has slots."""
        assert self.spec
        self.info = replace(info, jobs=max(info.jobs, info.slots))
        self._pulse = Pulse()
        self._verdicts.record(self.spec, fast=self._setup.fast, threads=info.threads)
        log.info("%s: ready, %s.", self.spec.name, self.info)
        return self.info.jobs

    @property
    def planned(self) -> int:
        """Sequences that it will take when it is loaded, as far as that was planned."""
        return self._setup.slots or 1

    def add(self, job: Job) -> None:
        assert self.child
        self.child.add(job)

    def cancel(self, key: str) -> bool:
        """False where no engine has it."""
        if self.child is None or self.info is None:
            return False
        self.child.cancel(key)
        return True

    def read(self, timeout: float, wake: int) -> list[dict[str, Any]]:
        assert self.child
        messages = self.child.read(timeout, wake)
        if messages:
            self._pulse.beat()
        return messages

    def note(self, figures: dict[str, float]) -> None:
        """What the engine says of itself, about once a second: how fast it writes is remembered."""
        before, self.figures = self.figures, figures
        if not all(each.get("running") == each.get("batch") == 1 for each in (before, figures)):
            return
        written, took = (
            figures.get(key, 0.0) - before.get(key, 0.0)
            for key in ("generated_tokens", "decode_seconds")
        )
        read = figures.get("prompt_tokens") != before.get("prompt_tokens")
        if read or written < 1 or took <= 0:
            return
        self._speeds.append(written / took)
        if len(self._speeds) >= SAMPLES and self.spec:
            speed = round(statistics.median(self._speeds), 1)
            self._verdicts.record(self.spec, fast=self._setup.fast, speed=speed)
            self._speeds.clear()

    def rest(self) -> None:
        """Nobody waits for a step: its silence means nothing."""
        self._pulse = Pulse()

    def hangs(self, listened: float) -> bool:
        """Whether it has been silent for too long; `listened`: when its listener came back."""
        limit = self._settings.load_hang_s
        if self.info:
            # Not without bound: a pause of the whole machine looks like one very slow step.
            patience = min(50 * self._pulse.slowest, 10 * self._settings.hang_s)
            limit = max(self._settings.hang_s, patience)
        return time.monotonic() - max(self._pulse.last, listened) > limit

    def crashed(self, death: ChildDiedError) -> bool:
        """Whether its death says that the model cannot be loaded here; fast kernels that crash are
        remembered instead."""
        if death.code not in CRASHES or self.spec is None:
            return False
        if self._setup.fast:
            name = self.spec.name
            log.warning("%s: its fast kernels crash on this machine; going on without.", name)
            self._verdicts.record(self.spec, fast=False)
            return False
        return self.info is None

    def end(self, *, kindly: bool = False) -> None:
        """End it. Kindly: it is given a moment to put away what it has computed."""
        if self.child:
            # What is being loaded has nothing to put away.
            if kindly and self.info:
                self.child.close()
            self.child.end()
        self.child = self.info = None
        self.figures = {}

    @property
    def memory(self) -> tuple[int, int]:
        """The bytes of the child and its own in memory, and how many of them are mapped files,
        which the system counts as free since they can be read again."""
        return descent.memory(self.child.pid) if self.child else (0, 0)

    def state(self, worker: str, running: int) -> EngineState:
        """What is told of it; it must not be off."""
        assert self.spec
        known = self.info or Info(0, 0)
        return EngineState(
            worker=worker,
            model=self.spec.name,
            state="loading" if self.info is None else "ready" if running else "idle",
            fraction=self.fraction,
            running=running,
            slots=known.slots,
            jobs=known.jobs,
            context_length=known.context_length,
            threads=known.threads,
            gpu_layers=known.gpu_layers,
            memory_bytes=self.memory[0],
            figures=self.figures,
        )
