"""An admin uploads a model in pieces, goes on after a break, and it is imported."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from django.test import Client

from chatsite.accounts.models import User
from chatsite.catalogue.models import Delivery
from chatsite.catalogue.views import files
from tests.site.catalogue.working import Worker

pytestmark = pytest.mark.django_db(transaction=True)
UPLOADS = "/settings/models/uploads"


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def begin(client: Client, name: str = "tiny.gguf", size: int = 10) -> str:
    told = client.post(UPLOADS, {"name": name, "size": str(size)})
    assert told.status_code == 200, told.content
    return str(told.json()["id"])


def put(client: Client, id: str, offset: object, piece: bytes) -> Any:
    address = f"{UPLOADS}/{id}?offset={offset}"
    return client.put(address, piece, content_type="application/octet-stream")


def test_it_works(alice_client: Client, broker: redis.Redis, folder: Path) -> None:
    worker = Worker(broker)
    id = begin(alice_client)
    assert put(alice_client, id, 0, b"GGUF").json()["offset"] == 4
    # The browser was closed, and asks where it was.
    assert alice_client.get(f"{UPLOADS}/{id}").json()["offset"] == 4
    assert alice_client.post(f"{UPLOADS}/{id}").status_code == 409
    put(alice_client, id, 4, b"456789")
    assert alice_client.post(f"{UPLOADS}/{id}").json() == {"next": "/settings/models"}
    path = Path(worker.take().errand.path)
    assert path.read_bytes() == b"GGUF456789"
    assert path.is_relative_to(folder)


def test_what_comes_twice_or_too_early_is_told_where_it_is(alice_client: Client) -> None:
    id = begin(alice_client)
    put(alice_client, id, 0, b"GGUF")
    for offset in (0, 5, -1, "x", "9" * 30, ""):
        told = put(alice_client, id, offset, b"GGUF")
        assert (told.status_code, told.json()["offset"]) == (409, 4), offset


def test_a_piece_may_be_larger_than_a_form(alice_client: Client) -> None:
    piece = bytes(files.PIECE)
    id = begin(alice_client, size=len(piece) + 1)
    assert put(alice_client, id, 0, piece).json()["offset"] == len(piece)
    # And no larger than was agreed on.
    id = begin(alice_client, size=len(piece) + 9)
    assert put(alice_client, id, 0, piece + b"more").json()["offset"] == len(piece)


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("virus.exe", "10", "GGUF or safetensors"),
        ("tiny.gguf", "0", "GGUF or safetensors"),
        ("tiny.gguf", "-5", "GGUF or safetensors"),
        ("tiny.gguf", "9" * 18, "The disk has"),
    ],
)
def test_what_is_not_taken(alice_client: Client, name: str, size: str, words: str) -> None:
    told = alice_client.post(UPLOADS, {"name": name, "size": size})
    assert told.status_code == 400
    assert words in told.json()["text"]


def test_what_was_imported_leaves_no_copy(alice_client: Client, broker: redis.Redis) -> None:
    id = begin(alice_client, size=1)
    put(alice_client, id, 0, b"G")
    alice_client.post(f"{UPLOADS}/{id}")
    row = Delivery.objects.get()
    os.utime(row.path, (time.time() - 100,) * 2)
    files.tidy()
    assert Path(row.path).exists()
    Delivery.objects.update(state="done")
    files.tidy()
    assert not Path(row.path).parent.exists()


def test_r12_admins_alone(bob_client: Client, bob: User, folder: Path) -> None:
    assert bob_client.post(UPLOADS, {"name": "a.gguf", "size": "1"}).status_code == 403
    assert put(bob_client, "0" * 32, 0, b"x").status_code == 403
    assert not (folder / "models").exists()
