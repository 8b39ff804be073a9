"""What an engine promises. It lives in a child process, has one thread and knows nothing of
Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self

from inference.contract import Event, Job, ModelSpec, Request


@dataclass(frozen=True, slots=True)
class Setup:
    """How a model is loaded on this machine, as its worker planned it. Zero: the engine decides."""

    # Whether kernels are allowed that may crash here.
    fast: bool = True
    # Sequences in one batch, and the tokens that each may have.
    slots: int = 0
    context_length: int = 0
    # Cells of the KV cache that all sequences share; 0: each has `context_length` of its own.
    shared_cells: int = 0
    # Bytes for the KV cells of an engine that keeps them in pages; 0: the engine decides.
    kv_bytes: int = 0
    # Layers on the GPU; -1: as many as its memory holds.
    gpu_layers: int = -1
    # Threads that were the fastest when this model ran here before.
    threads: int = 0
    # Bytes for computed conversations that rest: in memory, and on disk in `cache_dir`.
    shelf_bytes: int = 0
    disk_bytes: int = 0
    cache_dir: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        names = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in names})


@dataclass(frozen=True, slots=True)
class Info:
    """What a loaded model can do: sequences at once, and tokens per sequence."""

    slots: int
    context_length: int
    # Jobs that it takes at once; those beyond `slots` take turns.
    jobs: int = 0
    # The fastest number of threads; 0 where it has not measured any.
    threads: int = 0
    # Layers on a GPU.
    gpu_layers: int = 0


class LoadError(Exception):
    """The model cannot be loaded. `kind` is stable, the text is for the log."""

    kind = "model_load_failed"


class WrongModelError(Exception):
    """The model is not made for what is asked: for answers, or for vectors. `kind` is stable."""

    kind = "wrong_model"


class Engine(Protocol):
    """Continuous batching behind a few calls. Its events for one id: Progress*, Tokens*, one
    Finish."""

    def load(self, spec: ModelSpec, setup: Setup, report: Callable[[float], None]) -> Info:
        """Load and warm up; `report` gets the fraction."""

    def add(self, job: Job) -> None:
        """Take a job; its first event comes from a later step. Never more than `jobs` at once."""

    def cancel(self, id: str) -> None:
        """End a job at the next step with reason `cancelled`; an unknown id is ignored."""

    def answer(self, request: Request) -> dict[str, Any]:
        """What a request's `task` asks for, at once and beside all jobs; an exception's `kind` says
        why it cannot be told."""

    def busy(self) -> bool:
        """Whether `step` has something to do."""

    def step(self) -> list[Event]:
        """Compute one step for all jobs together."""

    def rest(self) -> bool:
        """Nothing to do just now: do a little of what can wait; False where nothing is left."""

    def stats(self) -> dict[str, float]:
        """Counters since the load and gauges of now, by the names in docs/architecture.md."""

    def close(self) -> None:
        """The last call before the process ends."""
