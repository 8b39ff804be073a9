"""What an admin allowed: one place, and the key for it, sealed so that only who knows the site's
secret can read or make one. A worker has no database: the seal is all that it goes by."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# The secret also signs sessions: what is derived for this purpose is of no use for another.
PURPOSE = b"chatsite: permits for providers, 1"
SECRET = "CHATSITE_SECRET_KEY"  # noqa: S105 - the name of the setting


@dataclass(frozen=True, slots=True)
class Permit:
    """`inside`: the place is in our own network, where addresses are private and http is plain."""

    base_url: str
    inside: bool = False
    key: str = field(default="", repr=False)


class LockedError(Exception):
    """The secret is missing here, or it is another than the one that sealed this."""

    kind = "remote_locked"


def seal(permit: Permit, secret: str) -> str:
    return _box(secret).encrypt(json.dumps(asdict(permit)).encode()).decode()


def unseal(text: str, secret: str) -> Permit:
    """The permit; LockedError where this secret did not seal it."""
    try:
        return Permit(**json.loads(_box(secret).decrypt(text.encode())))
    except (InvalidToken, TypeError, ValueError):
        raise LockedError from None


def find_secret(environ: Mapping[str, str] | os._Environ[str]) -> str:
    """The site's secret as a worker finds it: in the environment, or in the data directory that it
    shares with the site. LockedError where there is none."""
    path = environ.get(f"{SECRET}_FILE")
    if path is None and environ.get(SECRET):
        return environ[SECRET]
    try:
        # Without the line's end that an editor puts there: the site reads it in the same way.
        if path is not None:
            return Path(path).read_text(encoding="utf-8").strip()
        data = environ.get("CHATSITE_DATA_DIR") or "."
        return (Path(data) / "secret_key").read_text(encoding="utf-8").strip()
    except OSError:
        raise LockedError from None


def _box(secret: str) -> Fernet:
    if not secret:
        raise LockedError
    derived = HKDF(SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
