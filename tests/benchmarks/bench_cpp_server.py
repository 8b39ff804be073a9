"""Throughput through our `/v1` by that of `llama_cpp.server`, which answers one request at a time,
at eight clients; and whether all were answered. Once as it comes, once told to do its best.

It runs on the build of llama.cpp that is installed here, so its kernels are as safe as ours.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.benchmarks.bare_loop import weights
from tests.benchmarks.clients import put_load
from tests.benchmarks.measuring import Figure, Plan, Skipped, alternate, compared
from tests.benchmarks.running_site import running_site
from tests.live import free_port

CLIENTS, EACH, LENGTH, CONTEXT = 8, 2, 64, 2048
# A round takes half a minute.
ROUNDS = 3
# What `llama-cpp-python[server]` wants beside what we have; the server's program is in the package.
NEEDED = (
    "fastapi==0.165.0",
    "pydantic-settings==2.16.3",
    "pyyaml==6.0.3",
    "sse-starlette==3.7.0",
    "starlette-context==0.3.6",
    "uvicorn==0.54.0",
)


def measure(plan: Plan) -> Iterator[Figure]:
    cores = str(plan.threads)
    best = {"n_threads": cores, "n_threads_batch": cores, "interrupt_requests": "false"}
    with tempfile.TemporaryDirectory(prefix="llama-cpp-server-") as folder:
        install(folder)
        with running_site(slots=CLIENTS, context_length=CONTEXT) as site:
            put_load(site.url, 1, 1, 4)
            # Half of the cores, and a second request aborts the first: as it comes.
            yield from compare(plan, site.url, Path(folder), "as it comes", {}, 3.0)
            yield from compare(plan, site.url, Path(folder), "at its best", best, 1.0)


def compare(
    plan: Plan, ours: str, folder: Path, title: str, options: dict[str, str], goal: float
) -> Iterator[Figure]:
    answered: dict[str, list[float]] = {"ours": [], "theirs": []}

    def throughput(name: str, url: str) -> float:
        load = put_load(url, CLIENTS, EACH, plan.size(LENGTH))
        answered[name].append(1 - len(load.troubles) / len(load.replies))
        return load.rate

    with peer(folder, options) as theirs:
        put_load(theirs, 1, 1, 4)
        sides = partial(throughput, "ours", ours), partial(throughput, "theirs", theirs)
        rates = alternate(min(plan.rounds, ROUNDS), *sides)
    yield compared(f"/v1 by llama_cpp.server {title}", rates[0], rates[1], goal)
    note = f"theirs {statistics.median(answered['theirs']):.3f}"
    share = tuple(answered["ours"])
    yield Figure("/v1: requests that were answered", share, 1.0, floor=1.0, note=note)


@contextmanager
def peer(folder: Path, more: dict[str, str]) -> Iterator[str]:
    """The address of a running llama_cpp.server; what it needs is in the folder."""
    port = free_port()
    options = {
        "model": str(weights()),
        "host": "127.0.0.1",
        "port": str(port),
        "n_ctx": str(CONTEXT),
        "flash_attn": "false",
        **more,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "llama_cpp.server", *words],
            env={**os.environ, "PYTHONPATH": str(folder)},
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait(url, process, log)
        yield url
    finally:
        process.kill()
        process.wait()


def install(folder: str) -> None:
    uv = shutil.which("uv")
    if uv is None:
        raise Skipped("uv is not there to install llama_cpp.server's needs")
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", folder]
    done = subprocess.run([*command, *NEEDED], capture_output=True, text=True)
    if done.returncode:
        raise Skipped(f"llama_cpp.server's needs cannot be installed: {done.stderr.strip()[-200:]}")


def wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(f"{url}/v1/models", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise Skipped(f"llama_cpp.server does not start: {log.read_text()[-300:]}")
