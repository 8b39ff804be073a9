"""Which version this is, and which others it can work with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self

import redis

# As in pyproject.toml: what is installed without its metadata has no other way to know.
PRODUCT = "0.1.0"
# What a site and its workers must have in common. It is raised whenever an earlier worker would
# misunderstand what a site asks, or a site what a worker logs.
PROTOCOL = 1
# Where the site's word stands; one that says nothing is of the time of the first protocol.
SITE = "site"


@dataclass(frozen=True, slots=True)
class Release:
    """A version of the product, and the protocol that it speaks."""

    product: str = ""
    protocol: int = 1

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        known = json.loads(text)
        return cls(str(known.get("product") or ""), int(known.get("protocol", 1)))


OURS = Release(PRODUCT, PROTOCOL)


def announce(client: redis.Redis, release: Release = OURS) -> None:
    """The site's version, for all workers; to be said again now and then."""
    client.set(SITE, json.dumps(asdict(release)))
