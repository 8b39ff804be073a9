"""Throughput and time to the first token through our `/v1` with a vLLM worker, by those of a bare
`vllm serve` with the same weights and settings, on this processor. One idles while the other works.

32 streams are kept going, as vLLM's own benchmark does with a bound on what goes on at once: each
client asks again when its answer is whole. The beginning, when all ask in one moment, is also
measured by itself.

vLLM lives in an environment of its own, which is made where it is missing: tests.vllm.environment.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import redis

from tests.benchmarks.clients import Load, put_load
from tests.benchmarks.measuring import NAME, Figure, Plan, Skipped, alternate, compared
from tests.benchmarks.running_site import running_site
from tests.live import free_port
from tests.vllm import environment, serving, weights
from tests.workers import Worker

# So many streams, each of so many answers after each other.
STREAMS, EACH, LENGTH, CONTEXT = 32, 4, 128, 2048
# Ours plans a few seats more than it has slots.
SEATS = STREAMS + STREAMS // 4
RATIO, LATER_MS = 0.95, 50.0
# Seconds for a boot.
PATIENCE = 240
# Medians of the rounds in milliseconds, by address.
Waits = dict[str, list[float]]


def measure(plan: Plan) -> Iterator[Figure]:
    environment.ensure()
    folder = weights.made()
    with (
        tempfile.TemporaryDirectory(prefix="bench-vllm-") as place,
        bare(folder) as theirs,
        site_with_worker(folder, Path(place)) as ours,
    ):
        for url in (ours, theirs):
            # The first answers find nothing ready.
            load(url, plan.size(LENGTH))
        yield from compare(plan, ours, theirs)


def compare(plan: Plan, ours: str, theirs: str) -> Iterator[Figure]:
    steady: Waits = {ours: [], theirs: []}
    at_once: Waits = {ours: [], theirs: []}

    def throughput(url: str) -> float:
        found = load(url, plan.size(LENGTH), EACH)
        waits = [(reply.times[0] - reply.asked) * 1000 for reply in found.replies]
        steady[url].append(statistics.median(waits))
        at_once[url].append(statistics.median(waits[::EACH]))
        return found.rate

    rates = alternate(plan.rounds, lambda: throughput(ours), lambda: throughput(theirs))
    yield compared(f"/v1 by vllm serve, {STREAMS} streams", rates[0], rates[1], RATIO)
    yield later(f"first token of {STREAMS} streams, ms later", steady[ours], steady[theirs])
    yield later(f"the same of {STREAMS} at once, ms later", at_once[ours], at_once[theirs])


def later(name: str, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    values = tuple(a - b for a, b in zip(ours, theirs, strict=True))
    note = f"{statistics.median(ours):.0f} by {statistics.median(theirs):.0f} ms"
    return Figure(name, values, LATER_MS, True, None, note)


def load(url: str, length: int, each: int = 1) -> Load:
    found = put_load(url, STREAMS, each, length, spread=length // 2)
    assert not found.troubles, f"{url}: {found.troubles}"
    return found


@contextmanager
def site_with_worker(folder: Path, place: Path) -> Iterator[str]:
    """The address of a product whose model is run by a vLLM worker."""
    with running_site() as site:
        settings = {"slots": STREAMS, "context_length": CONTEXT}
        serving.add(site, NAME, folder, **settings)
        url = serving.broker_of(site)
        worker = Worker(url, place / "worker", python=environment.python())
        try:
            with redis.Redis.from_url(url) as broker:
                worker.start().wait(broker)
            yield site.url
        finally:
            worker.remove()


@contextmanager
def bare(folder: Path) -> Iterator[str]:
    """The address of a running `vllm serve`."""
    port = free_port()
    options = {
        "--model": str(folder),
        "--host": "127.0.0.1",
        "--port": str(port),
        "--served-model-name": NAME,
        "--max-model-len": str(CONTEXT),
        "--max-num-seqs": str(SEATS),
    }
    words = [word for pair in options.items() for word in pair]
    # What `vllm serve` starts; that command itself looks for a package of another name here.
    program = [str(environment.python()), "-m", "vllm.entrypoints.openai.api_server"]
    quiet = ["--enforce-eager", "--disable-uvicorn-access-log", "--disable-log-stats"]
    own = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with tempfile.NamedTemporaryFile(prefix="vllm-serve-", suffix=".log") as log:
        process = subprocess.Popen(
            [*program, *words, *quiet],
            env={**os.environ, **own},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait(url, process, Path(log.name))
            yield url
        finally:
            # Its engine is a process of its own.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(f"{url}/health", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise Skipped(f"vllm serve does not start: {log.read_text()[-300:]}")
