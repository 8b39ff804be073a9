"""An admin adds a provider, asks for its models, chooses, changes and removes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import NoReverseMatch, reverse

from chatsite.accounts.models import User
from chatsite.catalogue import actions, providers, urls
from chatsite.catalogue.models import Model, Provider
from chatsite.catalogue.providers import Offer, Place
from chatsite.gateway import upstream as gateway
from tests.site.catalogue.conftest import KEY
from tests.upstream import Upstream


def form(upstream: Upstream, **changes: str) -> dict[str, str]:
    fields = {"name": "Far", "base_url": upstream.base_url, "key": KEY, "inside": "on"}
    return {name: value for name, value in {**fields, **changes}.items() if value}


def page(client: Client, address: str, **fields: Any) -> str:
    answer = client.post(address, fields, follow=True) if fields else client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_works(alice_client: Client, upstream: Upstream) -> None:
    assert "No providers yet" in page(alice_client, "/settings/providers")
    added = alice_client.post("/settings/providers/new", form(upstream))
    address = added.headers["Location"]
    assert f'hx-get="{address}/models"' in page(alice_client, address)
    listed = page(alice_client, f"{address}/models")
    assert "it has" in listed
    names = re.findall(r'name="upstream" value="([^"]+)"', listed)
    assert {"words", "thinks"} <= set(names)
    chosen = str(names.index("words"))
    ours = ["far-words" if name == "words" else name for name in names]
    saved = page(alice_client, f"{address}/models", upstream=names, name=ours, use=[chosen])
    assert "Saved." in saved
    (model,) = Model.objects.all()
    assert (model.name, model.engine, model.source) == ("far-words", "remote", {"model": "words"})
    assert "1 model" in page(alice_client, "/settings/providers")


def test_a_long_list_can_be_sent_back(alice_client: Client, provider: Provider) -> None:
    names = [f"model-{number}" for number in range(2000)]
    use = [str(number) for number in range(len(names))]
    address = f"/settings/providers/{provider.pk}/models"
    assert "Saved." in page(alice_client, address, upstream=names, name=names, use=use)
    assert Model.objects.count() == len(names)


def test_what_the_engine_room_gets(provider: Provider, alice: User, upstream: Upstream) -> None:
    model = actions.find_answering(alice, "far-words")
    assert model
    spec = actions.spec(model)
    assert (spec.name, spec.engine, spec.source["model"]) == ("far-words", "remote", "words")
    permit = gateway.unseal(spec.source["permit"])
    assert (permit.base_url, permit.inside, permit.key) == (upstream.base_url, True, KEY)
    assert KEY not in str(spec)
    # People see that what they write leaves the house.
    assert "Far" in model.about
    assert actions.usual(model) == {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}


def test_the_key_is_shown_to_nobody_and_stored_sealed(
    alice_client: Client, provider: Provider
) -> None:
    for address in ("/settings/providers", f"/settings/providers/{provider.pk}"):
        assert KEY not in page(alice_client, address)
    assert "There is a key" in page(alice_client, f"/settings/providers/{provider.pk}")
    assert KEY not in str(Provider.objects.values_list())
    refused = alice_client.post("/settings/providers/new", {"name": "", "key": KEY})
    assert KEY not in refused.content.decode()


def test_an_empty_key_keeps_the_one_that_is_there(
    alice_client: Client, provider: Provider, upstream: Upstream
) -> None:
    before = provider.permit
    address = f"/settings/providers/{provider.pk}"
    page(alice_client, address, **form(upstream, key="", enabled="on"))
    provider.refresh_from_db()
    # Nothing has changed: the same text, or the engine would be loaded anew.
    assert provider.permit == before
    page(alice_client, address, **form(upstream, key="sk-new", enabled="on", name="Farther"))
    permit = providers.allowed(Provider.objects.get(name="Farther"))
    assert permit
    assert permit.key == "sk-new"
    page(alice_client, address, **form(upstream, key="", enabled="on", forget="on"))
    permit = providers.allowed(Provider.objects.get())
    assert permit
    assert permit.key == ""


def test_a_key_is_not_shown_to_another_server(alice_client: Client, provider: Provider) -> None:
    """Who got hold of an admin's page could have it sent to a server of their own."""
    address = f"/settings/providers/{provider.pk}"
    moved = {"name": "Far", "base_url": "https://evil.example/v1", "enabled": "on"}
    assert "enter the key for it" in page(alice_client, address, **moved)
    kept = providers.allowed(Provider.objects.get())
    assert kept
    assert "evil" not in kept.base_url
    page(alice_client, address, **moved, key="sk-other")
    permit = providers.allowed(Provider.objects.get())
    assert permit
    assert (permit.base_url, permit.key) == ("https://evil.example/v1", "sk-other")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "Far"),
        ("base_url", ""),
        ("base_url", "api.example.com"),
        ("base_url", "ftp://api.example.com/v1"),
        ("base_url", "https://user:word@api.example.com/v1"),
        ("base_url", "https://api.example.com/v1?x=1"),
        ("key", "sk 1"),
        ("key", "sk-ü"),
    ],
)
def test_it_refuses(
    alice_client: Client, provider: Provider, upstream: Upstream, field: str, value: str
) -> None:
    fields = {**form(upstream, name="Another"), field: value}
    answer = page(alice_client, "/settings/providers/new", **fields)
    assert 'class="field__error"' in answer
    assert Provider.objects.count() == 1


def test_the_address_of_a_call_is_taken_as_it_was_meant(
    alice_client: Client, upstream: Upstream
) -> None:
    copied = f" {upstream.base_url}/chat/completions/ "
    alice_client.post("/settings/providers/new", form(upstream, base_url=copied))
    permit = providers.allowed(Provider.objects.get())
    assert permit
    assert permit.base_url == upstream.base_url


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": "sk-wrong"}, "does not accept the key"),
        ({"inside": ""}, "leads into your own network"),
        ({"base_url": "http://127.0.0.1:9/v1"}, "Nobody answers"),
        ({"base_url": "http://169.254.169.254/v1"}, "leads into your own network"),
    ],
)
def test_why_a_provider_cannot_be_asked(
    alice_client: Client, upstream: Upstream, changes: dict[str, str], words: str
) -> None:
    added = alice_client.post("/settings/providers/new", form(upstream, **changes))
    listed = page(alice_client, f"{added.headers['Location']}/models")
    assert words in listed
    assert "it has" not in listed
    # Without a list its models can still be named.
    assert 'name="more"' in listed


def test_a_model_that_the_list_does_not_have(alice_client: Client, provider: Provider) -> None:
    address = f"/settings/providers/{provider.pk}/models"
    rows = {"upstream": ["words"], "name": ["far-words"], "use": ["0"], "more": "hidden/model:1"}
    page(alice_client, address, **rows)
    assert set(Model.objects.values_list("name", flat=True)) == {"far-words", "hidden/model:1"}


def test_what_was_set_for_a_model_stays(alice_client: Client, provider: Provider) -> None:
    model = Model.objects.get(name="far-words")
    Model.objects.filter(pk=model.pk).update(system_prompt="Be kind.", title="Far words")
    rows = {"upstream": ["words", "thinks"], "name": ["renamed", "thinks"], "use": ["0", "1"]}
    page(alice_client, f"/settings/providers/{provider.pk}/models", **rows)
    kept = Model.objects.get(pk=model.pk)
    assert (kept.name, kept.system_prompt) == ("renamed", "Be kind.")
    # Names may change places.
    providers.choose_models(provider.pk, [Offer("words", "thinks"), Offer("thinks", "renamed")])
    assert Model.objects.get(pk=model.pk).name == "thinks"
    page(alice_client, f"/settings/providers/{provider.pk}/models", upstream=["words"], name=["x"])
    assert not Model.objects.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [("taken", "is called taken already"), ("a b", "no spaces"), ("x" * 201, "no spaces")],
)
def test_names_that_will_not_do(
    alice_client: Client, provider: Provider, name: str, words: str
) -> None:
    Model.objects.create(name="taken", source={})
    rows = {"upstream": ["words"], "name": [name], "use": ["0"]}
    assert words in page(alice_client, f"/settings/providers/{provider.pk}/models", **rows)
    assert set(Model.objects.values_list("name", flat=True)) == {"far-words", "taken"}
    rows = {"upstream": ["words", "b"], "name": ["same", "same"], "use": ["0", "1"]}
    answer = page(alice_client, f"/settings/providers/{provider.pk}/models", **rows)
    assert "same name" in answer


def test_one_that_is_off_or_removed_offers_nothing(
    alice_client: Client, alice: User, provider: Provider, upstream: Upstream
) -> None:
    address = f"/settings/providers/{provider.pk}"
    page(alice_client, address, **form(upstream, key=""))
    assert actions.find_answering(alice, "far-words") is None
    page(alice_client, address, **form(upstream, key="", enabled="on"))
    assert actions.find_answering(alice, "far-words")
    assert "Remove Far?" in page(alice_client, f"{address}/delete")
    assert Provider.objects.exists()
    alice_client.post(f"{address}/delete")
    assert not Provider.objects.exists()
    assert not Model.objects.exists()


def test_another_secret_of_the_site(
    alice_client: Client, provider: Provider, settings: Any, upstream: Upstream
) -> None:
    address = f"/settings/providers/{provider.pk}"
    settings.SECRET_KEY = "another"
    alice_client.force_login(User.objects.get(), "django.contrib.auth.backends.ModelBackend")
    assert "Key needed" in page(alice_client, "/settings/providers")
    assert "cannot be read any more" in page(alice_client, address)
    page(alice_client, address, **form(upstream, enabled="on"))
    assert "cannot be read any more" not in page(alice_client, address)


def addresses(pk: int) -> list[str]:
    found = []
    mine = [each for each in urls.urlpatterns if str(each.name).startswith("providers")]
    for entry in mine:
        try:
            found.append(reverse(str(entry.name)))
        except NoReverseMatch:
            found.append(reverse(str(entry.name), args=[pk]))
    return found


def test_r12_admins_alone(
    bob_client: Client, client: Client, provider: Provider, upstream: Upstream
) -> None:
    before = list(Provider.objects.values_list())
    for address in addresses(provider.pk):
        assert bob_client.get(address).status_code == 403
        assert bob_client.post(address, form(upstream)).status_code == 403
        assert client.get(address).headers["Location"].startswith("/login")
    assert list(Provider.objects.values_list()) == before
    assert upstream.asked == []


def test_a_provider_that_is_not_there(alice_client: Client, alice: User) -> None:
    codes = {alice_client.get(address).status_code for address in addresses(99)}
    assert codes == {200, 404}


@pytest.mark.parametrize("value", ["\0", "\ud800", "x" * 100_000, "💥", "' OR 1=1 --", "%s{}"])
def test_r24_rubbish_is_answered_politely(
    alice_client: Client, provider: Provider, value: str
) -> None:
    value = value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    fields = dict.fromkeys(("name", "base_url", "key", "inside", "enabled", "more"), value)
    rows = {"upstream": [value, "words"], "use": ["0", value, "-1", "9" * 30], "more": value}
    for address in (*addresses(provider.pk), f"/settings/providers/{'9' * 30}"):
        if not address.endswith("/delete"):
            assert alice_client.post(address, fields).status_code in {200, 302, 404, 405}
            assert alice_client.post(address, {**rows, "name": [value]}).status_code < 500
    assert Provider.objects.filter(pk=provider.pk).exists()


def test_markup_in_names_is_text(alice_client: Client, upstream: Upstream) -> None:
    evil = "<script>alert(1)</script>"
    made = providers.add_provider(evil, Place(upstream.base_url, inside=True, key=KEY))
    providers.choose_models(made.pk, [Offer("<b>", "<i>")])
    for address in (*addresses(made.pk), f"/settings/providers/{made.pk}/models"):
        shown = page(alice_client, address)
        assert evil not in shown
        assert "<b>" not in shown
