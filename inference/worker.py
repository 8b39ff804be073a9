"""The Celery app of the engine room: hears rings, and shows that this worker lives. Needs Redis
alone."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import Any

import redis
from celery import Celery
from celery.signals import worker_ready, worker_shutdown

from inference.runner import Host
from inference.settings import Settings, current

log = logging.getLogger(__name__)
QUEUE = "inference"
# Seconds after which a worker that has not been seen counts as gone.
SEEN = 5

# No fixups: Celery's one for Django would load the site into the worker.
app = Celery("inference", fixups=[])
app.conf.update(
    broker_url=current().broker_url,
    task_default_queue=QUEUE,
    task_ignore_result=True,
    accept_content=["json"],
    task_serializer="json",
    worker_hijack_root_logger=True,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    worker_cancel_long_running_tasks_on_connection_loss=False,
)


class Pool:
    """The Hosts of this worker, one per model that was asked for."""

    def __init__(self, settings: Settings) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._settings = settings
        self._client = redis.Redis.from_url(settings.redis_url, socket_timeout=10)
        self._hosts: dict[str, Host] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def ring(self, model: str) -> None:
        """Wake the Host of a model; make it where there is none."""
        with self._lock:
            host = self._hosts.get(model)
            if host is None or not host.is_alive():
                host = self._hosts[model] = Host(model, self._settings, self._client)
                host.start()
        host.ring()

    def close(self) -> None:
        self._ending.set()
        with self._lock:
            for host in self._hosts.values():
                host.close()
        self._client.zrem("workers", self.name)

    def _watch(self) -> None:
        """Once a second: say that it lives, and look for what waits without having been rung for.

        A ring is a hint that may be lost with its broker; what waits is in the waiting sets.
        """
        while not self._ending.wait(1):
            try:
                self._client.zadd("workers", {self.name: time.time()})
                self._client.zremrangebyscore("workers", 0, time.time() - 12 * SEEN)
                models: Any = self._client.smembers("models")
                for model in models:
                    if self._client.zcard(b"waiting:" + model):
                        self.ring(model.decode())
            except redis.RedisError:
                log.warning("Redis does not answer; the worker waits for it.")


pool = Pool(current())


@worker_ready.connect
def begin(**_: Any) -> None:
    pool.start()


@worker_shutdown.connect
def end(**_: Any) -> None:
    pool.close()


@app.task(name="inference.ring")
def ring(model: str) -> None:
    """Something waits for this model, or one of its generations shall stop."""
    pool.ring(model)
