"""`ollama pull` tells how far a download is, in the lines that its clients draw bars of; `delete`
takes the files along."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.catalogue import actions, aliases, deliveries
from chatsite.catalogue.models import Delivery, Model
from inference.library.nouns import LibraryError
from tests.site.api.asking import post, read
from tests.site.catalogue.working import SHA, Hub
from tests.site.ollama.conftest import send

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "hf.co/owner/tiny-GGUF:Q4_K_M"


@pytest.fixture
def hub(broker: redis.Redis) -> Iterator[Hub]:
    hub = Hub(broker)
    hub.start()
    yield hub
    hub.close()


@pytest.fixture
def admin_key(alice: User) -> str:
    return keys.make_key(alice)[1]


def pull(key: str, **fields: Any) -> tuple[int, list[dict[str, Any]]]:
    async def asked() -> tuple[int, bytes]:
        answer = await post(key, {"model": NAME, **fields}, "/api/pull")
        return answer.status_code, await read(answer)

    status, raw = asyncio.run(asked())
    return status, [json.loads(line) for line in raw.splitlines()]


def test_it_works(admin_key: str, hub: Hub) -> None:
    status, lines = pull(admin_key)
    assert status == 200
    assert lines[0] == {"status": "pulling manifest"}
    assert lines[-1] == {"status": "success"}
    bars = [line for line in lines if line.get("digest") == f"sha256:{SHA}"]
    done = [line["completed"] for line in bars]
    assert {line["total"] for line in bars} == {1000}
    assert done == sorted(done)
    assert len(set(done)) >= 3
    model = Model.objects.get(name="tiny")
    assert model.licence == "mit"
    # It is called as it was pulled, and by its own name.
    assert aliases.names_of(model) == {"tiny", NAME}
    assert send(admin_key, "show", {"model": NAME}).status_code == 200
    assert pull(admin_key) == (200, [{"status": "pulling manifest"}, {"status": "success"}])
    assert Delivery.objects.count() == 1


def test_without_a_stream_it_is_awaited(admin_key: str, hub: Hub) -> None:
    assert pull(admin_key, stream=False) == (200, [{"status": "success"}])
    assert Model.objects.filter(name="tiny").exists()


def test_another_quantization_is_not_there(admin_key: str, hub: Hub) -> None:
    status, (line,) = pull(admin_key, model="owner/tiny-GGUF:Q8_0")
    assert status == 404
    assert "no such quantization" in line["error"]
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("gated", 403, "accept"),
        ("missing", 404, "no such repository"),
        ("rate_limited", 429, "Try again later"),
        ("hub_down", 502, "import a file"),
    ],
)
def test_what_the_hub_refuses_is_explained(
    admin_key: str, hub: Hub, kind: str, status: int, words: str
) -> None:
    hub.error = LibraryError(kind)
    answered, (line,) = pull(admin_key)
    assert (answered, words in line["error"]) == (status, True), line


def test_a_failure_is_the_last_line(admin_key: str, hub: Hub) -> None:
    hub.failure = {"kind": "wrong_hash", "file": "tiny-Q4_K_M.gguf"}
    status, lines = pull(admin_key)
    assert status == 200
    assert "tiny-Q4_K_M.gguf" in lines[-1]["error"]
    assert not Model.objects.filter(name="tiny").exists()


def test_without_a_worker_it_says_so(admin_key: str, broker: redis.Redis) -> None:
    status, (line,) = pull(admin_key)
    assert (status, "No worker" in line["error"]) == (503, True)


def test_r12_bob_downloads_nothing(key: str, hub: Hub) -> None:
    assert pull(key)[0] == 403
    assert not Delivery.objects.exists()


def test_delete_of_another_name_takes_that_name_alone(admin_key: str, hub: Hub) -> None:
    pull(admin_key, stream=False)
    actions.call("tiny", "gpt-4o")
    assert send(admin_key, "delete", {"model": "gpt-4o:latest"}, "DELETE").status_code == 200
    assert aliases.names_of(Model.objects.get(name="tiny")) == {"tiny", NAME}
    assert not Delivery.objects.filter(kind="remove").exists()


def test_delete_takes_the_files_along(admin_key: str, hub: Hub) -> None:
    pull(admin_key, stream=False)
    assert send(admin_key, "delete", {"model": NAME}, "DELETE").status_code == 200
    removal = Delivery.objects.get(kind="remove")
    assert (removal.total, removal.node) == (1000, "box-1")
    until = time.monotonic() + 10
    while Delivery.objects.live().exists():
        deliveries.step()
        assert time.monotonic() < until
        time.sleep(0.05)
    assert actions.usable_models(User.objects.get(username="alice"))[0].name == "echo"
