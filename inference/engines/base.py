"""What an engine promises. It lives in a child process, has one thread and knows nothing of
Redis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from inference.contract import Event, Job, ModelSpec


@dataclass(frozen=True, slots=True)
class Info:
    """What a loaded model can do: sequences at once, and tokens per sequence."""

    slots: int
    context_length: int


class LoadError(Exception):
    """The model cannot be loaded. `kind` is stable, the text is for the log."""

    kind = "model_load_failed"


class Engine(Protocol):
    """Continuous batching behind four calls. Its events for one id: Progress*, Tokens*, one
    Finish."""

    def load(self, spec: ModelSpec, fast: bool, report: Callable[[float], None]) -> Info:
        """Load and warm up; `report` gets the fraction. `fast` allows kernels that may crash
        here."""

    def add(self, job: Job) -> None:
        """Take a job; its first event comes from a later step. Never more than `slots` at once."""

    def cancel(self, id: str) -> None:
        """End a job at the next step with reason `cancelled`; an unknown id is ignored."""

    def busy(self) -> bool:
        """Whether `step` has something to do."""

    def step(self) -> list[Event]:
        """Compute one step for all jobs together."""
