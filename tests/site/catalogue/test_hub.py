"""Where models are looked for: a mirror, a token that nobody else is shown, and allowed hosts."""

from __future__ import annotations

import pytest
from django.core import serializers
from pytest_django import Settings

from chatsite.catalogue import hub
from chatsite.catalogue.errors import HostError, HubAddressError, TokenNeededError
from chatsite.catalogue.models import HubSettings
from chatsite.gateway import upstream
from inference.library import client

pytestmark = pytest.mark.django_db
MIRROR = "https://mirror.example.com"


def test_it_works(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    assert hub.told().endpoint == "https://huggingface.co"
    assert not hub.has_token()
    hub.change(MIRROR + "/", ["Files.example.com ", "", ".example.org", "10.0.0.7:8080"], "hf_s3")
    told = hub.told()
    assert told.endpoint == MIRROR
    assert told.hosts == (".example.org", "10.0.0.7:8080", "files.example.com")
    assert hub.has_token()
    # A worker of this site can open it, for that hub.
    monkeypatch.setenv("CHATSITE_SECRET_KEY", settings.SECRET_KEY)
    monkeypatch.delenv("CHATSITE_SECRET_KEY_FILE", raising=False)
    assert client.token(told) == "hf_s3"


def test_r7_the_token_is_nowhere_in_the_clear() -> None:
    hub.change("", [], "hf_very_secret")
    assert "hf_very_secret" not in serializers.serialize("json", HubSettings.objects.all())


def test_r7_a_token_is_for_the_hub_for_which_it_was_entered() -> None:
    hub.change("", [], "hf_s3")
    with pytest.raises(TokenNeededError):
        hub.change(MIRROR, [])
    assert hub.told().endpoint == "https://huggingface.co"
    hub.change(MIRROR, [], "hf_other")
    with pytest.raises(TokenNeededError):
        hub.change("http://mirror.example.com", [])
    # A path of the same hub is the same hub.
    hub.change(MIRROR + "/hub", [])
    assert upstream.unseal(hub.told().permit).key == "hf_other"
    hub.change(MIRROR + "/hub", [], "")
    assert not hub.has_token()
    hub.change("", [])


def test_another_secret_makes_the_token_none(settings: Settings) -> None:
    hub.change("", [], "hf_s3")
    settings.SECRET_KEY = "another one by now, and long enough to be one"
    assert not hub.has_token()
    hub.change("", [], "hf_new")
    assert hub.has_token()


@pytest.mark.parametrize(
    "address",
    ["huggingface.co", "ftp://x.example", "https://a@b.example", "https://x/?q=1", "http://"],
)
def test_what_is_no_hub(address: str) -> None:
    with pytest.raises(HubAddressError):
        hub.change(address, [])
    assert not HubSettings.objects.filter(endpoint__gt="").exists()


@pytest.mark.parametrize("host", ["a b", "https://x.example", "x.example/path", "-", "*", "x:port"])
def test_r8_what_is_no_host(host: str) -> None:
    with pytest.raises(HostError) as refused:
        hub.change("", ["good.example.com", host])
    assert refused.value.name == host
