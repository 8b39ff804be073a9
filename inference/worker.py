"""The Celery app of the engine room: hears rings, and shows that this worker lives. Needs Redis
alone."""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutdown

from inference import silence
from inference.library import ledger
from inference.pool import Pool
from inference.settings import current

QUEUE = "inference"

# No fixups: Celery's one for Django would load the site into the worker.
app = Celery("inference", fixups=[])
app.conf.update(
    broker_url=current().broker_url,
    broker_transport_options=silence.transport(),
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


# Two lines for each ring say nothing that the Hosts do not say better.
for name in ("celery.worker.strategy", "celery.app.trace"):
    logging.getLogger(name).setLevel(logging.WARNING)
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


@app.task(name=ledger.ERRAND)
def errand(id: str) -> None:
    """An errand waits, or somebody wants it otherwise."""
    pool.errands.ring()


@app.task(name=ledger.QUESTION)
def question(id: str) -> None:
    """Somebody awaits an answer about models."""
    pool.errands.ring()
