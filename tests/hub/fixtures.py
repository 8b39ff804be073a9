"""The tests' hub as a fixture, and an errand to it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from inference.library import client
from inference.library.nouns import Errand, FileRef
from inference.library.nouns import Hub as Address
from inference.remote.permit import SECRET, Permit, seal
from tests.hub.repos import Repo
from tests.hub.server import Hub

# Before anything imports huggingface_hub, which reads its environment once.
client.prepare(Address(), os.environ)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """With the secret that tokens are sealed with."""
    monkeypatch.setenv(SECRET, "a secret of tests")
    made = Hub()
    yield made
    made.close()


def address(hub: Hub, token: str = "", **more: Any) -> Address:
    """As an admin would set it; the other host needs to be allowed, since nobody knows it."""
    permit = seal(Permit(hub.url, True, token), os.environ[SECRET]) if token else ""
    return Address(**{"endpoint": hub.url, "permit": permit, "hosts": (hub.files,)} | more)


def download(
    hub: Hub, repo: Repo, paths: Sequence[str] = (), token: str = "", /, **more: Any
) -> Errand:
    files = tuple(
        FileRef(path, blob.size, blob.sha256 if repo.is_lfs(path) else "")
        for path, blob in repo.files.items()
        if not paths or path in paths
    )
    known: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "kind": "download",
        "hub": address(hub, token),
        "repo": repo.name,
        "revision": repo.commit,
        "files": files,
    }
    return Errand(**known | more)
