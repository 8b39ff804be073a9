"""The bell to the workers: a Celery task by name. The site runs no task itself."""

from __future__ import annotations

import logging

from celery import Celery
from django.conf import settings
from kombu.exceptions import OperationalError

from inference import silence
from inference.client import QUEUE, RING
from inference.settings import broker_url

log = logging.getLogger(__name__)

app = Celery("chatsite", fixups=[])
app.conf.update(
    broker_url=broker_url(settings.REDIS_URL) if settings.REDIS_URL else None,
    broker_transport_options=silence.ringing(),
    # Connections of one process; who rings waits for one.
    broker_pool_limit=4,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
)


def ring(model: str) -> None:
    """Wake a worker. Never raises: a lost ring costs a second, since workers also look by
    themselves."""
    try:
        app.send_task(RING, args=[model], queue=QUEUE, expires=10, retry=False)
    except OperationalError:
        log.warning("The ring for %s was lost: the broker does not answer.", model)


def call(task: str, id: str) -> None:
    """The same for what a worker does beside answers."""
    try:
        app.send_task(task, args=[id], queue=QUEUE, expires=10, retry=False)
    except OperationalError:
        log.warning("The ring for %s was lost: the broker does not answer.", id)
