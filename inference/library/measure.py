"""How fast this machine works through weights: each family of quantizations by llama.cpp's own
kernels on random numbers, and its memory by a copy. Once for a processor and a build, then kept."""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from inference.hardware import processor, thread_counts

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parent.parent.parent
# A family's name in `rates`, and the quantization that stands for it.
FAMILIES = {
    "Q4": "Q4_K",
    "Q4_0": "Q4_0",
    "Q4_1": "Q4_1",
    "Q5": "Q5_K",
    "Q6": "Q6_K",
    "Q8": "Q8_0",
    "F16": "F16",
}
FAMILIES |= {"Q3": "Q3_K", "Q2": "Q2_K", "IQ4": "IQ4_XS"}
# Bytes of the weights: what a processor keeps near itself would be read faster than a model is.
SIZE = 256 << 20
# The median of so many steps counts, in so many seconds, but of some always.
STEPS, LEAST, SECONDS = 64, 12, 0.5
# Bytes that are copied, and how often.
COPIED, COPIES = 256 << 20, 5
# Seconds that all of it may take on a machine that is busy or old.
PATIENCE = 120.0


def known(data_dir: Path) -> dict[str, Any] | None:
    """What was measured on this processor with this build; None where nothing was."""
    try:
        found: Any = json.loads(_file(data_dir).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("mark") == _mark() else None


def run(data_dir: Path, *, quiet: bool = True) -> dict[str, Any] | None:
    """Measure, and keep it; None where it cannot be measured here. Takes about ten seconds. Where
    the machine was not `quiet`, that is kept as well: the figures are worth little."""
    folder = _file(data_dir).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "inference.library.measure", str(folder)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=PATIENCE,
            check=True,
        )
        return keep(data_dir, {**json.loads(done.stdout), "quiet": quiet})
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.warning("This machine could not be measured: %s", error)
        return None


def keep(data_dir: Path, figures: dict[str, Any]) -> dict[str, Any]:
    """They are this processor's, with this build. As they are kept."""
    found = {**figures, "mark": _mark()}
    file = _file(data_dir)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(found, indent=1))
    draft.replace(file)
    return found


def _file(data_dir: Path) -> Path:
    return data_dir / "engine" / "machine.json"


def _mark() -> str:
    try:
        version = metadata.version("llama-cpp-python")
    except metadata.PackageNotFoundError:
        version = ""
    return f"{processor()}|{os.cpu_count()}|{version}"


def main() -> None:
    """In the child: the figures as one line."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What native code prints is no figure.
    os.dup2(2, 1)
    with TemporaryDirectory(dir=sys.argv[1]) as folder:
        rates = {
            family: round(rate(Path(folder) / f"{family}.gguf", quant))
            for family, quant in FAMILIES.items()
        }
    out.write(json.dumps({"bandwidth": bandwidth(), "rates": rates}) + "\n")
    out.flush()
    os._exit(0)


def rate(path: Path, quant: str) -> float:
    """Bytes of such weights per second, one sequence, with as many threads as are the fastest."""
    from inference.contract import ModelSpec
    from inference.engines.base import Setup
    from inference.engines.llamacpp.model import LlamaModel, Rows
    from inference.library import blank

    size = blank.write(path, blank.of_size(quant, SIZE))
    settings = {"context_length": 256, "slots": 1}
    spec = ModelSpec("measure", "llamacpp", {"path": str(path)}, settings)
    model = LlamaModel(spec, Setup(slots=1, context_length=256, gpu_layers=0), lambda _: None)
    times: dict[int, list[float]] = {}
    at, until = 0, time.perf_counter() + SECONDS
    while at < STEPS and (at < LEAST or time.perf_counter() < until):
        # In turn: what else the machine does meets all alike. The engine, too, takes the fastest.
        for threads in thread_counts():
            model.threads = threads
            rows = Rows()
            rows.add([3], at, 0, wanted=True)
            begun = time.perf_counter()
            model.decode(rows)
            times.setdefault(threads, []).append(time.perf_counter() - begun)
            at += 1
    path.unlink()
    model.free()
    return size / min(statistics.median(each[1:]) for each in times.values())


def bandwidth() -> float:
    """Bytes per second that a copy reads and writes, as one core does it."""
    import numpy as np

    source = np.ones(COPIED // 8)
    target = np.empty_like(source)
    times = []
    for _ in range(COPIES):
        begun = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - begun)
    return round(2 * COPIED / statistics.median(times))


if __name__ == "__main__":
    main()
