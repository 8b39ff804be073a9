"""Providers elsewhere, as the site deals with them: seal what an admin allowed, look whether it
works. What is asked of them is the engine room's."""

from __future__ import annotations

from django.conf import settings

from inference.remote import egress, listing, permit
from inference.remote.permit import LockedError, Permit
from inference.remote.troubles import Trouble

__all__ = [
    "LockedError",
    "Permit",
    "Trouble",
    "list_models",
    "normalize",
    "origin",
    "seal",
    "unseal",
]


def normalize(base_url: str) -> str:
    """The base URL in its one usual form; Trouble where it is none."""
    return egress.parse(base_url).url


def origin(base_url: str) -> str:
    """Scheme, host and port: to whom a key is shown."""
    return egress.parse(base_url).origin


def seal(allowed: Permit) -> str:
    """As it lies in the database and travels with every request."""
    return permit.seal(allowed, settings.SECRET_KEY)


def unseal(sealed: str) -> Permit:
    """LockedError where the site had another secret when this was sealed."""
    return permit.unseal(sealed, settings.SECRET_KEY)


def list_models(allowed: Permit) -> list[str]:
    """What the provider calls its models; Trouble where it cannot be asked. Takes up to 20 s."""
    return listing.list_models(allowed)
