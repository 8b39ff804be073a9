"""The bell to the workers: a Celery task by name. The site runs no task itself."""

from __future__ import annotations

import logging
import threading
import time

from celery import Celery
from django.conf import settings
from kombu.exceptions import OperationalError

from inference import silence
from inference.client import QUEUE, RING
from inference.settings import broker_url

log = logging.getLogger(__name__)
# Seconds after a ring in which further ones for its model become one, at their end.
TOGETHER = 0.005

app = Celery("chatsite", fixups=[])
app.conf.update(
    broker_url=broker_url(settings.REDIS_URL) if settings.REDIS_URL else None,
    broker_transport_options=silence.ringing(),
    # So many at a time in one process, each with two connections; who rings waits for one.
    broker_pool_limit=2,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
)


class Ringer:
    """Rings at once, and a crowd's rings together: each takes most of a millisecond here and
    some of the worker's time, which then looks at all that waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # When each model's was rung last; the time to come where one is on its way.
        self._rung: dict[str, float] = {}

    def ring(self, model: str) -> None:
        now = time.monotonic()
        with self._lock:
            wait = self._rung.get(model, 0.0) + TOGETHER - now
            if wait > TOGETHER:
                # One is to come, and what it is for is there already.
                return
            self._rung[model] = now + max(0.0, wait)
        if wait <= 0:
            call(RING, model)
        else:
            later = threading.Timer(wait, call, (RING, model))
            later.daemon = True
            later.start()


ring = Ringer().ring


def call(task: str, subject: str) -> None:
    """Wake a worker. Never raises: a lost ring costs a second, since workers also look by
    themselves."""
    try:
        app.send_task(task, args=[subject], queue=QUEUE, expires=10, retry=False)
    except OperationalError:
        log.warning("The ring for %s was lost: the broker does not answer.", subject)
