"""What the site may ask of the engine room: cancel, and the place in the queue. All by Redis."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import redis

from inference import lease
from inference.contract import Finish

# The task that rings a worker, by name: the site never imports the worker.
RING, QUEUE = "inference.ring", "inference"


def cancel(client: redis.Redis, id: str) -> str | None:
    """Stop a generation. The model to ring, "" where it is over, None where nobody knows it."""
    finish = json.dumps(asdict(Finish(id, "cancelled")))
    return lease.cancel(client, id, finish)


def queue_ahead(pipe: Any, places: Sequence[tuple[str, str]]) -> None:
    """Ask in a pipeline how many wait before each (model, id); the answer is None for one that
    does not."""
    for model, id in places:
        pipe.zrank(f"waiting:{model}", id)
