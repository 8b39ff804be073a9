"""What tests on vLLM share: weights that it reads, and a running site whose second worker has it.
Where vLLM is not installed nothing of this folder is collected."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis

from tests.live import Site
from tests.vllm import environment, weights
from tests.vllm.serving import add, broker_of
from tests.workers import Worker

if find_spec("vllm") is None:
    collect_ignore_glob = ["test_*.py"]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("vllm")
            # What torch and vLLM call deprecated is theirs to mend.
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))


@pytest.fixture(scope="session")
def safetensors() -> Path:
    """The folder of the starter model's weights as vLLM reads them."""
    return weights.folder()


@pytest.fixture(scope="session")
def office(safetensors: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that runs with llama.cpp beside it, and a worker with vLLM that joined it. Of vLLM the
    model `tiny` is served."""
    product = Site(python=environment.site_python())
    worker = None
    try:
        product.start()
        worker = Worker(url := broker_of(product), tmp_path_factory.mktemp("vllm-worker"))
        worker.start()
        with redis.Redis.from_url(url) as client:
            worker.wait(client)
        add(product, "tiny", safetensors)
        yield product
    finally:
        if worker is not None:
            worker.remove()
            # Seen where a test fails.
            print(worker.log()[-10_000:])
        product.remove()
