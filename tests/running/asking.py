"""Questions for the API of the running product, and what its rows say of them."""

from __future__ import annotations

import time
from typing import Any

from tests.live import Site

HELLO: list[Any] = [{"role": "user", "content": "Say hello to Bob."}]
# An answer that goes on until somebody stops it.
ENDLESS: dict[str, Any] = {"max_tokens": 4000, "extra_body": {"ignore_eos": True}}
# An answer of thirty letters, which ends by itself.
WORDS: dict[str, Any] = {"guided_regex": "[a-z ]{30}"}
COUNT = """
import os
from chatsite.gateway.models import Generation
print(Generation.objects.filter(status=os.environ["STATUS"]).count())
"""


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def count(site: Site, status: str) -> int:
    """How many generations stand so: live, done, stopped, failed."""
    return int(site.shell(COUNT, STATUS=status))


def wait_idle(site: Site) -> None:
    until = time.monotonic() + 20
    while count(site, "live"):
        assert time.monotonic() < until, "a generation goes on although nobody reads it"
        time.sleep(0.2)
