"""A key and the official client for whoever tests the API of the running product."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.live import Site


@pytest.fixture(scope="module")
def key(site: Site) -> str:
    site.wait_ready()
    site.person("alice")
    return site.manage("apikey", "alice", "--name", "tests").strip()


@pytest.fixture
def client(site: Site, key: str) -> Iterator[OpenAI]:
    """One that takes no body whose fields have other types than its own."""
    with OpenAI(
        base_url=f"{site.url}/v1", api_key=key, max_retries=0, _strict_response_validation=True
    ) as client:
        yield client
