"""An admin sees which models are here and what is on its way, says what a model is and who may use
it, loads, exports and deletes; machines and the hub have pages of their own."""

from __future__ import annotations

import re
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse

from chatsite.accounts.models import User
from chatsite.catalogue import deliveries, hub, urls
from chatsite.catalogue.models import Alias, Delivery, HubSettings, Model
from inference import board
from inference.board import EngineState
from tests.site.catalogue.test_providers import page
from tests.site.catalogue.working import VARIANT, Worker, landed

pytestmark = pytest.mark.django_db(transaction=True)
MODELS = "/settings/models"


@pytest.fixture
def worker(db: None, broker: redis.Redis) -> Worker:
    return Worker(broker)


@pytest.fixture
def model(db: None) -> Model:
    return Model.objects.create(name="tiny", title="Tiny", engine="echo", source={})


def stored(name: str = "tiny", **more: Any) -> Model:
    """One whose files the library has."""
    told = landed(f"{name}-abab")
    return Model.objects.create(
        name=name, title=name.title(), source={"store": "x"}, landed=told, **more
    )


def form(model: Model, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": model.name, "title": model.title, "enabled": "on"}
    return {key: value for key, value in {**fields, **changes}.items() if value != ""}


def test_it_works(alice_client: Client, alice: User, worker: Worker) -> None:
    assert "No model is here yet" in page(alice_client, MODELS)
    row = deliveries.begin_download(alice, "owner/tiny-GGUF", "abc", VARIANT)
    assert "It begins as soon as a worker is free" in page(alice_client, MODELS)
    claim = worker.take()
    worker.tell(claim, phase="fetching", done=250, total=1000, speed=5.0)
    deliveries.step()
    shown = page(alice_client, f"{MODELS}/live")
    for words in ("Downloading", "250\xa0bytes of 1000\xa0bytes", "5\xa0bytes/s", "minutes left"):
        assert words in shown, words
    assert 'aria-valuenow="25"' in shown
    worker.bring(claim)
    deliveries.step()
    shown = page(alice_client, f"{MODELS}/live")
    assert "Ready" in shown
    assert f"?model={Model.objects.get().name}" in shown
    assert "The models take 1000\xa0bytes of the disk" in shown
    page(alice_client, f"{MODELS}/deliveries/{row.pk}/forget", sent="1")
    assert not Delivery.objects.exists()


def test_with_nothing_new_a_part_is_left_alone(alice_client: Client, model: Model) -> None:
    shown = page(alice_client, f"{MODELS}/live")
    mark = re.findall(r'data-mark="([0-9a-f]+)"', shown)[0]
    again = alice_client.get(f"{MODELS}/live", {"mark": mark})
    assert (again.status_code, again.content) == (204, b"")
    Model.objects.update(title="Another")
    assert "Another" in alice_client.get(f"{MODELS}/live", {"mark": mark}).content.decode()


def test_pause_resume_cancel_and_again(alice_client: Client, alice: User, worker: Worker) -> None:
    row = deliveries.begin_download(alice, "owner/tiny-GGUF", "abc", VARIANT)

    def act(name: str) -> str:
        address = f"{MODELS}/deliveries/{row.pk}/{name}"
        answer = alice_client.post(address, headers={"HX-Request": "true"})
        assert answer.status_code == 200
        return answer.content.decode()

    assert "Resume" in act("pause")
    assert "Pause" in act("resume")
    assert "Try again" in act("cancel")
    assert "Pause" in act("retry")
    act("cancel")
    assert "It has moved on meanwhile" in act("cancel")
    assert alice_client.post(f"{MODELS}/deliveries/{row.pk}/explode").status_code == 404


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"kind": "gated"}, "accepted the terms"),
        ({"kind": "no_space", "needed": 4 << 30, "free": 1 << 30}, "4.0\xa0GB are needed"),
        ({"kind": "hub_down"}, "import a file instead"),
        ({"kind": "never heard of"}, "Something went wrong"),
    ],
)
def test_a_failure_says_what_to_do(
    alice_client: Client, db: None, error: dict[str, Any], words: str
) -> None:
    Delivery.objects.create(kind="download", title="Big", state="failed", subject="x", error=error)
    shown = page(alice_client, MODELS)
    assert words in shown
    assert "Try again" in shown


def test_one_click_offers_it_to_nobody(alice_client: Client, model: Model) -> None:
    page(alice_client, f"{MODELS}/{model.pk}/enable", on="0")
    assert not Model.objects.get().enabled
    shown = page(alice_client, MODELS)
    assert 'aria-checked="false"' in shown
    assert "?model=tiny" not in shown
    page(alice_client, f"{MODELS}/{model.pk}/enable", on="1")
    assert Model.objects.get().enabled


def test_what_is_said_of_a_model(alice_client: Client, model: Model) -> None:
    group = Group.objects.create(name="Writers")
    said = form(
        model,
        name="writer",
        description="Writes.",
        aliases="gpt-4o\ngpt-4",
        groups=[str(group.pk)],
        keep_loaded="on",
        temperature="0.5",
        stop="END",
        context_length="4096",
    )
    assert "Saved." in page(alice_client, f"{MODELS}/{model.pk}", **said)
    model = Model.objects.get()
    assert (model.name, model.description, model.keep_loaded) == ("writer", "Writes.", True)
    assert (model.defaults, model.settings) == (
        {"temperature": 0.5, "stop": ["END"]},
        {"context_length": 4096},
    )
    assert list(model.groups.all()) == [group]
    # Conversations know the old name.
    assert set(Alias.objects.values_list("name", flat=True)) == {"gpt-4o", "gpt-4", "tiny"}
    shown = page(alice_client, f"{MODELS}/{model.pk}")
    for words in ("gpt-4o", 'value="0.5"', "END</textarea>", 'value="4096"'):
        assert words in shown, words


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "other", "Another model has this name"),
        ("name", "a b", "letters, digits"),
        ("aliases", "other", "other: Another model"),
        ("aliases", "b\\c", "letters, digits"),
        ("temperature", "7", "less than or equal to 2"),
        ("stop", "x" * 300, "not possible"),
        ("context_length", "1", "greater than or equal to 256"),
    ],
)
def test_a_refusal_stands_at_its_field(
    alice_client: Client, model: Model, field: str, value: str, words: str
) -> None:
    Model.objects.create(name="other", source={})
    shown = page(alice_client, f"{MODELS}/{model.pk}", **form(model, **{field: value}))
    errors = re.search(rf'id="id_{field}_error">(.*?)</ul>', shown, re.DOTALL)
    assert errors, shown
    assert words in errors[1]
    assert Model.objects.filter(name="tiny", defaults={}).exists()


def test_loaded_now(
    alice_client: Client, model: Model, worker: Worker, broker: redis.Redis
) -> None:
    address = f"{MODELS}/{model.pk}"
    assert "Load now" in page(alice_client, f"{address}/state")
    asked = alice_client.post(f"{address}/load", headers={"HX-Request": "true"})
    assert "Loading…" in asked.content.decode()
    figures = {"generated_tokens": 100.0, "decode_seconds": 5.0}
    state = EngineState("box-1", "tiny", "ready", 1.0, 1, 4, context_length=6000, figures=figures)
    board.post(broker, state)
    shown = page(alice_client, f"{address}/state")
    for words in ("Writes 1 answer", "1 of 4 answers", "about 10 pages", "20 tokens/s"):
        assert words in shown, words
    assert "Writes 1 answer" in page(alice_client, "/settings/machines")
    asked = alice_client.post(f"{address}/unload", headers={"HX-Request": "true"})
    assert "Unloading…" in asked.content.decode()
    Model.objects.update(keep_loaded=True)
    asked = alice_client.post(f"{address}/unload", headers={"HX-Request": "true"})
    assert "Switch that off first" in asked.content.decode()


def test_a_bundle_for_another_office(alice_client: Client, worker: Worker) -> None:
    model = stored()
    address = f"{MODELS}/{model.pk}"
    assert "Enter the whole path" in page(alice_client, f"{address}/export", path="tiny.tar")
    page(alice_client, f"{address}/export", path="/mnt/stick/tiny.tar")
    worker.finish(worker.take())
    deliveries.step()
    assert "The bundle is at /mnt/stick/tiny.tar" in page(alice_client, MODELS)


def test_deleted_with_the_space_that_it_frees(alice_client: Client, worker: Worker) -> None:
    model = stored()
    address = f"{MODELS}/{model.pk}"
    assert "Frees 1000\xa0bytes" in page(alice_client, address)
    assert "frees 1000\xa0bytes" in page(alice_client, f"{address}/delete")
    assert Model.objects.exists()
    told = page(alice_client, f"{address}/delete", sent="1")
    assert "1000\xa0bytes on the disk become free" in told
    assert not Model.objects.exists()
    assert worker.take().errand.kind == "remove"


def test_a_providers_model_is_removed_there(alice_client: Client, provider: Any) -> None:
    model = Model.objects.get()
    shown = page(alice_client, f"{MODELS}/{model.pk}")
    assert "Load now" not in shown
    assert f"/settings/providers/{provider.pk}" in shown
    alice_client.post(f"{MODELS}/{model.pk}/delete")
    assert Model.objects.exists()


def test_machines_that_answer_and_one_that_does_not(alice_client: Client, worker: Worker) -> None:
    assert "4.0\xa0GB of 8.0\xa0GB free" in page(alice_client, "/settings/machines")
    stored(node="box-2")
    shown = page(alice_client, "/settings/machines/live")
    assert "Does not answer" in shown
    assert "1 model lies on its disk" in shown


def test_the_hub_as_it_is_set(alice_client: Client, db: None) -> None:
    address = "/settings/hub"
    page(alice_client, address, endpoint="https://mirror.example", token="hf_1", hosts="a.example")
    assert (hub.told().endpoint, hub.told().hosts) == ("https://mirror.example", ("a.example",))
    shown = page(alice_client, address)
    assert "There is a token" in shown
    assert "hf_1" not in shown
    refused = page(alice_client, address, endpoint="https://other.example")
    assert "enter the token for it" in refused
    refused = page(alice_client, address, endpoint="https://mirror.example", hosts="http://x/y")
    assert "http://x/y: This is no name of a host" in refused
    page(alice_client, address, endpoint="https://mirror.example", forget="on")
    assert not HubSettings.current().permit


def addresses(model: Model) -> list[str]:
    key, found = "8b0d7a3e-0f8e-4c39-9a51-5b1a3f1f2c11", []
    for entry in urls.urlpatterns:
        name = str(entry.name)
        for ids in ([], [model.pk], [key, "pause"], [model.pk, key], [key]):
            try:
                found.append(reverse(name, args=ids))
            except NoReverseMatch:
                continue
    return found


def test_r12_admins_alone(bob_client: Client, client: Client, model: Model) -> None:
    before = list(Model.objects.values_list())
    listed = addresses(model)
    assert len(listed) >= len(urls.urlpatterns)
    for address in listed:
        assert bob_client.get(address).status_code == 403, address
        assert bob_client.post(address, form(model)).status_code == 403, address
        assert client.get(address).headers["Location"].startswith("/login")
    assert list(Model.objects.values_list()) == before


@pytest.mark.parametrize("value", ["\0", "x" * 10_000, "💥", "' OR 1=1 --", "%s{}", "../../etc"])
def test_r24_rubbish_is_answered_politely(
    alice_client: Client, model: Model, broker: redis.Redis, value: str
) -> None:
    names = [
        "name",
        "title",
        "aliases",
        "groups",
        "temperature",
        "stop",
        "context_length",
        "path",
        "node",
        "on",
        "prompt",
    ]
    names += ["endpoint", "token", "hosts", "repo", "quant", "variant", "url", "revision"]
    fields = dict.fromkeys(names, value)
    for address in addresses(model):
        # Nobody answers questions here, and nobody waits for that.
        if "hub" in address or "delete" in address or "fetch" in address or "/try" in address:
            continue
        assert alice_client.post(address, fields).status_code in {200, 302, 400, 404, 405}, address
        assert alice_client.get(address, fields).status_code < 500, address


def test_markup_in_names_is_text(alice_client: Client, worker: Worker) -> None:
    evil = "<script>alert(1)</script>"
    model = stored(description=evil, system_prompt=evil)
    Model.objects.update(title=evil)
    Delivery.objects.create(kind="export", title=evil, path=evil, state="done", subject="x")
    for address in (MODELS, f"{MODELS}/{model.pk}", f"{MODELS}/{model.pk}/delete"):
        assert evil not in page(alice_client, address)


def test_many_models_take_no_more_questions(alice_client: Client, worker: Worker) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            page(alice_client, MODELS)
        return len(asked)

    stored("one")
    few = queries()
    groups = [Group.objects.create(name=f"Group {n}") for n in range(3)]
    for number in range(30):
        stored(f"more-{number}").groups.set(groups)
        Delivery.objects.create(kind="import", state="failed", subject=f"{number}")
    assert queries() <= few
