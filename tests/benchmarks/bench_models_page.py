"""How long the list of models takes with 300 entries and 300 models, beside a page of settings.

    uv run --group tests python -m tests.benchmarks.bench_models_page

It fills a database of its own and drops it. No worker is asked: a machine is made up for it.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import replace
from unittest.mock import patch

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

# Models can only be imported after this.
django.setup()

from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from chatsite.accounts.models import User  # noqa: E402
from chatsite.catalogue import curated  # noqa: E402
from chatsite.catalogue.models import Model  # noqa: E402
from chatsite.gateway import library  # noqa: E402
from chatsite.gateway.engines import WorkerState  # noqa: E402
from chatsite.gateway.library import Machine  # noqa: E402

COUNT, ROUNDS = 300, 15
# Milliseconds.
GOAL = 500
WORKER = WorkerState("one", "host", 1, "", 8, 32 << 30, 24 << 30, engines=("llamacpp",))
MACHINE = Machine(
    32 << 30, 24 << 30, 100 << 30, 8, bandwidth=40e9, rates={"": 20e9}, engines=("llamacpp",)
)


def opened(client: Client, address: str) -> float:
    """Milliseconds of one page, the median of some."""
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        answer = client.get(address, headers={"host": "localhost"})
        times.append((time.perf_counter() - begun) * 1000)
        assert answer.status_code == 200, answer.status_code
    return statistics.median(times)


def main() -> None:
    old = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        client = Client()
        admin = User.objects.create_superuser("alice", password="violet-harbour-7")
        client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
        base = curated.entries()
        many = tuple(
            replace(base[n % len(base)], name=f"Model {n}", repo=f"owner/model-{n}")
            for n in range(COUNT)
        )
        for n in range(COUNT):
            Model.objects.create(name=f"model-{n}", source={}, repo=f"owner/model-{n}")
        with (
            patch.object(curated, "entries", lambda: many),
            patch.object(library, "cards", lambda: [(WORKER, MACHINE)]),
        ):
            plain = opened(client, "/settings/")
            full = opened(client, "/settings/models/add")
        verdict = "ok" if full <= GOAL else "MISSED"
        print(f"{COUNT} entries: {full:.0f} ms (goal {GOAL}, {verdict}), settings {plain:.0f} ms")
        print(f"ratio {full / plain:.1f}")
    finally:
        connection.creation.destroy_test_db(old, verbosity=0)


if __name__ == "__main__":
    main()
