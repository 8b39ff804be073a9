"""An admin finds a model: in the curated list, on the hub, by its address; sees how it would run
here, and downloads it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
import redis
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from chatsite.catalogue import curated, finding, hub, picking
from chatsite.catalogue.models import Delivery, Model
from inference import board
from inference.board import WorkerState
from inference.library import ledger
from inference.library.nouns import FileRef, LibraryError, Machine, Repository, Shapes, Variant
from tests.site.catalogue.test_providers import page
from tests.site.catalogue.working import COMMIT, Worker, landed

pytestmark = pytest.mark.django_db(transaction=True)
ADD, LOOK = "/settings/models/add", "/settings/models/repository/variants"
REPO = "owner/tiny-GGUF"
SHAPES = Shapes(
    architecture="llama",
    parameters=1_500_000_000,
    active_parameters=1_500_000_000,
    layers=28,
    context_length=32768,
    embedding_length=1536,
    feed_forward_length=8960,
    vocab_size=151936,
    head_count=12,
    head_count_kv=(2,) * 28,
    key_length=128,
    value_length=128,
)
MACHINE = Machine(
    memory_total=32 << 30,
    memory_free=24 << 30,
    disk_free=100 << 30,
    cores=8,
    bandwidth=40e9,
    rates={"": 20e9},
    engines=("llamacpp",),
)


def variant(quant: str, size: int) -> Variant:
    return Variant(quant, "gguf", (FileRef(f"tiny-{quant}.gguf", size),), SHAPES)


FOUND = Repository(
    REPO,
    COMMIT,
    licence="mit",
    variants=(
        variant("Q4_K_M", 1_100_000_000),
        variant("Q8_0", 1_900_000_000),
        variant("F16", 900_000_000_000),
    ),
)


class Hub(threading.Thread):
    """A worker that answers questions with what the test says, and does nothing else."""

    def __init__(self, broker: redis.Redis) -> None:
        super().__init__(daemon=True)
        self.broker = broker
        self.answers: dict[str, Any] = {"look": asdict(FOUND), "search": [asdict(FOUND)]}
        self.error: LibraryError | None = None
        self.asked: list[dict[str, Any]] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            if taken := ledger.take(self.broker, "box-1"):
                id, question = taken
                self.asked.append(question)
                said: dict[str, Any] = {"result": self.answers.get(question["kind"])}
                if self.error:
                    said = {"error": self.error.to_dict()}
                ledger.answer(self.broker, id, said)
            time.sleep(0.01)


@pytest.fixture(autouse=True)
def fresh() -> None:
    """What was read of a repository is good for a while."""
    cache.clear()


@pytest.fixture
def machine(broker: redis.Redis) -> None:
    state = WorkerState("box-1", "box", 1, "", 8, 32 << 30, 24 << 30, engines=("llamacpp",))
    board.greet(broker, replace(state, machine=asdict(MACHINE)))


@pytest.fixture
def asked(broker: redis.Redis, machine: None) -> Iterator[Hub]:
    made = Hub(broker)
    made.start()
    yield made
    made.over.set()
    made.join(10)


def test_it_works(alice_client: Client, asked: Hub) -> None:
    shown = page(alice_client, ADD)
    for words in ("Qwen2.5 1.5B Instruct", "Runs well", "Does not fit", "tokens/s", "Download"):
        assert words in shown, words
    # Both show what runs well first.
    assert shown.index("Runs well") < shown.index("Does not fit")
    asked.answers["look"] = asdict(replace(FOUND, repo="Qwen/Qwen2.5-1.5B-Instruct-GGUF"))
    sent = {"repo": "Qwen/Qwen2.5-1.5B-Instruct-GGUF", "quant": "Q8_0"}
    assert "is on its way" in page(alice_client, "/settings/models/fetch", **sent)
    row = Delivery.objects.get()
    assert (row.quant, row.revision, row.state) == ("Q8_0", COMMIT, "waiting")
    assert row.about["title"] == "Qwen2.5 1.5B Instruct"
    assert "On its way" in page(alice_client, f"{ADD}?q=Qwen2.5+1.5B")
    assert "under way already" in page(alice_client, "/settings/models/fetch", **sent)


def test_searched_and_filtered(alice_client: Client, machine: None) -> None:
    answer = alice_client.get(ADD, {"q": "qwen coder"}, headers={"HX-Request": "true"})
    shown = answer.content.decode()
    assert "<html" not in shown
    assert "Coder" in shown
    assert "Llama" not in shown
    vectors = page(alice_client, f"{ADD}?kind=embedding")
    assert "bge" in vectors.lower()
    assert "Qwen2.5 1.5B Instruct" not in vectors
    nothing = page(alice_client, f"{ADD}?q=nosuchmodel")
    assert "Search the hub for “nosuchmodel”" in nothing
    well = page(alice_client, f"{ADD}?well=on")
    assert not re.search("badge--(danger|warning)", well)


def test_what_is_here_says_so(alice_client: Client, machine: None) -> None:
    repo = "Qwen/Qwen2.5-1.5B-Instruct-GGUF"
    model = Model.objects.create(name="q", source={}, landed=landed("q-ab"), repo=repo)
    shown = page(alice_client, f"{ADD}?q=Qwen2.5+1.5B+Instruct")
    assert "Is here" in shown
    assert f"/settings/models/{model.pk}" in shown


def test_without_a_machine_nothing_is_promised(alice_client: Client, broker: redis.Redis) -> None:
    shown = page(alice_client, ADD)
    assert "No machine has reported yet" in shown
    assert "Runs well" not in shown
    assert "Not known" in shown


def test_a_machine_that_is_being_measured(alice_client: Client, broker: redis.Redis) -> None:
    Worker(broker)
    shown = page(alice_client, ADD)
    assert "is being measured" in shown
    assert "Not known" in shown


@pytest.mark.parametrize("about", [{"engines": ("vllm",)}, {"machine": {"measurable": False}}])
def test_a_machine_that_is_never_measured(
    alice_client: Client, broker: redis.Redis, about: dict[str, Any]
) -> None:
    """Nobody waits for what does not come."""
    Worker(broker, **about)
    shown = page(alice_client, ADD)
    assert "is being measured" not in shown
    assert "Not known" in shown


def test_looking_again_asks_for_the_same(alice_client: Client, broker: redis.Redis) -> None:
    """What is chosen comes along with each look: an address that had it as well would grow."""
    Worker(broker)
    shown = page(alice_client, f"{ADD}?context=4096&variant=a&variant=a")
    assert re.findall(r'id="measuring" hx-get="([^"]*)"', shown) == [f"{ADD}?context=4096"]


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        (REPO, f"repo={REPO}"),
        (f"{REPO}:Q8_0", f"repo={REPO}&quant=Q8_0"),
        (f"https://huggingface.co/{REPO}", f"repo={REPO}"),
        (f"{REPO}/tiny-F16.gguf", f"repo={REPO}&file=tiny-F16.gguf"),
        ("https://files.example/a.gguf", "url=https://files.example/a.gguf"),
    ],
)
def test_an_address_leads_to_its_page(
    alice_client: Client, broker: redis.Redis, typed: str, query: str
) -> None:
    hub.change("", ["files.example"])
    answer = alice_client.get("/settings/models/hub", {"q": typed})
    place = answer.headers["Location"].replace("%2F", "/").replace("%3A", ":")
    assert place == f"/settings/models/repository?{query}"
    assert "on the hub" in page(alice_client, f"{ADD}?q={typed}")
    assert "Reading the repository" in page(alice_client, answer.headers["Location"])


def test_an_address_that_is_none(alice_client: Client, broker: redis.Redis) -> None:
    shown = page(alice_client, "/settings/models/hub?q=https://evil.example/a.gguf")
    assert "only from hosts that are allowed" in shown
    assert "no address of a model" in page(alice_client, "/settings/models/hub?q=a/b/c:d e")


def test_searched_on_the_hub(alice_client: Client, asked: Hub) -> None:
    assert "Asking the hub" in page(alice_client, "/settings/models/hub?q=tiny")
    shown = page(alice_client, "/settings/models/hub/found?q=tiny")
    assert REPO in shown
    assert asked.asked[-1]["args"]["query"] == "tiny"
    asked.answers["search"] = []
    assert "The hub has nothing" in page(alice_client, "/settings/models/hub/found?q=tiny")
    asked.error = LibraryError("hub_down")
    assert "does not answer" in page(alice_client, "/settings/models/hub/found?q=tiny")


def test_one_repository_and_its_sizes(alice_client: Client, asked: Hub) -> None:
    shown = page(alice_client, f"{LOOK}?repo={REPO}")
    for words in ("Q4_K_M", "1.0\xa0GB to download", "of memory", "Runs well", "Does not fit"):
        assert words in shown, words
    assert shown.count("Recommended") == 1
    assert shown.count("checked") == 1
    assert 'value="tiny-Q8_0.gguf" checked' in shown
    # Another length is told without asking again.
    longer = page(alice_client, f"{LOOK}?repo={REPO}&context=131072")
    assert longer != shown
    assert len(asked.asked) == 1
    for query in ("quant=q4_k_m", "file=tiny-Q4_K_M.gguf", "variant=tiny-Q4_K_M.gguf&quant=Q8_0"):
        chosen = page(alice_client, f"{LOOK}?repo={REPO}&{query}")
        assert 'value="tiny-Q4_K_M.gguf" checked' in chosen, query
    told = page(alice_client, "/settings/models/download", repo=REPO, variant="tiny-Q4_K_M.gguf")
    assert "is on its way" in told
    assert Delivery.objects.get().files[0]["path"] == "tiny-Q4_K_M.gguf"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LibraryError("gated"), "Its page on the hub"),
        (LibraryError("missing"), "knows no such repository"),
        (LibraryError("no_access"), "Settings of the hub"),
        (LibraryError("rate_limited", seconds=30), "wait 30 seconds"),
        (LibraryError("hub_down"), "import a file instead"),
    ],
)
def test_why_a_repository_cannot_be_had(
    alice_client: Client, asked: Hub, error: LibraryError, words: str
) -> None:
    asked.error = error
    shown = page(alice_client, f"{LOOK}?repo={REPO}")
    assert words in shown
    assert "Try again" in shown
    # Our own list knows some of them without the hub.
    known = page(alice_client, f"{LOOK}?repo=Qwen/Qwen2.5-1.5B-Instruct-GGUF")
    assert "what our own list knows" in known
    assert "Q4_K_M" in known


def test_a_file_on_an_allowed_host(alice_client: Client, asked: Hub) -> None:
    url = "https://files.example/a.gguf"
    hub.change("", ["files.example"])
    asked.answers["weigh"] = asdict(variant("Q4_0", 700_000_000))
    assert "Q4_0" in page(alice_client, f"{LOOK}?url={url}")
    page(alice_client, "/settings/models/download", url=url, variant="tiny-Q4_0.gguf")
    assert Delivery.objects.get().url == url
    hub.change("", [])
    sent = {"url": url, "variant": "x"}
    assert "hosts that are allowed" in page(alice_client, "/settings/models/download", **sent)


def test_a_path_on_the_server(alice_client: Client, broker: redis.Redis) -> None:
    address = reverse("models-file")
    assert "Enter the whole path" in page(alice_client, address, path="model.gguf")
    worker = Worker(broker)
    assert "The import has begun" in page(alice_client, address, path="/mnt/stick/model.gguf")
    assert worker.take().errand.path == "/mnt/stick/model.gguf"


def test_300_entries_open_at_once(
    alice_client: Client, machine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_page() -> tuple[int, float]:
        # What the page itself takes: others may have the processor at the same time.
        began = time.thread_time()
        with CaptureQueriesContext(connection) as queries:
            page(alice_client, ADD)
        return len(queries), time.thread_time() - began

    few, _first = open_page()
    base = curated.entries()
    many = [replace(base[n % len(base)], name=f"Model {n}", repo=f"o/m{n}") for n in range(300)]
    monkeypatch.setattr(curated, "entries", lambda: tuple(many))
    for number in range(300):
        Model.objects.create(name=f"m{number}", source={}, repo=f"o/m{number}")
    assert len(picking.choices(cards=[])) == len(finding.search()) == 300
    runs = [open_page() for _ in range(3)]
    assert {queries for queries, _ in runs} == {few}
    assert min(seconds for _, seconds in runs) < 0.5, runs
