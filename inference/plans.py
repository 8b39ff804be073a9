"""From a model's spec to the plan of its load: reads the file's header, asks what the admin wished.
It loads nothing."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from inference import fit, gguf, paged
from inference.contract import ModelSpec
from inference.engines.base import Setup
from inference.engines.weights import locate, locate_folder
from inference.fit import Plan, TooLargeError, Wishes
from inference.paged import Weights
from inference.settings import Settings

# From a number of free bytes to a plan, or TooLargeError.
Draw = Callable[[int], Plan]
# Of the disk, one twentieth, but not more than this.
DISK = 4 << 30
KEPT_S = 14 * 24 * 3600


def draw(spec: ModelSpec, settings: Settings, disk_free: int) -> Draw:
    """The plan for any amount of memory. GgufError, LoadError or OSError where the weights are not
    what they should be."""
    if spec.engine == "remote":
        return lambda _: Plan(Setup(slots=fit.whole(spec.settings.get("slots"))), 0, away=True)
    if spec.engine == "vllm":
        weights = Weights.of(locate_folder(spec.source))
        asked = Wishes.of(spec.settings, settings.slots)
        return lambda free: paged.plan(weights, free, asked, spec.settings)
    native = spec.engine.startswith("llamacpp")
    path = locate(spec.source) if native and spec.source else None
    if path is None or path.suffix != ".gguf":
        return lambda free: _claimed(spec, free)
    header, wishes = gguf.read(path), Wishes.of(spec.settings, settings.slots)
    disk = settings.kv_disk_bytes
    disk = min(DISK, disk_free // 20) if disk is None else disk
    cache = str(_folder(settings.data_dir, path)) if disk else ""

    def plan(free: int) -> Plan:
        fitted = fit.plan(header, free, wishes)
        return replace(fitted, setup=replace(fitted.setup, disk_bytes=disk, cache_dir=cache))

    return plan


def sweep(data_dir: Path) -> None:
    """Remove what was computed with files that have not been in use for long: they were changed or
    removed, and no engine asks for it again."""
    for folder in (data_dir / "kv").glob("*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)


def _claimed(spec: ModelSpec, free: int) -> Plan:
    """An engine without a model file plans for itself; its settings may claim memory."""
    needed = fit.whole(spec.settings.get("memory_bytes"))
    if needed > free:
        raise TooLargeError(needed, max(0, free))
    return Plan(Setup(slots=fit.whole(spec.settings.get("slots"))), needed)


def _folder(data_dir: Path, path: Path) -> Path:
    """A folder for one state of one file: what was computed with another is of no use."""
    known = path.stat()
    mark = f"{path.resolve()}|{known.st_size}|{known.st_mtime_ns}"
    return data_dir / "kv" / hashlib.sha256(mark.encode()).hexdigest()[:24]
