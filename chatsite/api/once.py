"""`Idempotency-Key`: a POST that is made again within a day is answered by what the first one
started.

The name belongs to the key that sent it. With the same body the answer is the same, a stream from
its beginning, whole or in the middle of being written; with another body it is refused. What was
stopped or failed is started anew, since nobody got an answer. Who leaves is expected back: the
answer goes on for a moment (`calls.LINGER`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.http import HttpRequest

from chatsite.api import body, calls
from chatsite.api.access import identify
from chatsite.api.errors import FINAL, ApiError, invalid
from chatsite.metering import repeats
from chatsite.metering.models import Repeat

HEADER = "Idempotency-Key"
LONGEST = 255


def name_of(request: HttpRequest) -> str | None:
    """The name that the caller gave the request, if any."""
    name = request.headers.get(HEADER)
    if name is None:
        return None
    if not name.strip() or len(name) > LONGEST or not name.isprintable():
        raise invalid(f"{HEADER} must be 1 to {LONGEST} printable characters.")
    return name.strip()


@contextmanager
def held(request: HttpRequest, name: str) -> Iterator[Repeat]:
    """The record of this name, while the call is begun. Where it is answered already,
    `calls.start` takes what is there. Without a beginning nothing of it is kept."""
    caller = identify(request)
    known = digest(request)
    with transaction.atomic():
        try:
            row = repeats.hold(caller.user.pk, caller.key.pk if caller.key else None, name, known)
        except repeats.ReusedError as error:
            message = f"This {HEADER} was used with another request. Use a new one for each."
            raise ApiError(409, error.kind, message, headers=FINAL) from None
        before = calls.answered.set(repeats.answering(row))
        try:
            yield row
        finally:
            calls.answered.reset(before)


def digest(request: HttpRequest) -> str:
    """Of the address and of what the body says, however it is written."""
    told = json.dumps(body.peek(request), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{request.path}\n{told}".encode()).hexdigest()
