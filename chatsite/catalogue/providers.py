"""The one writer of providers and of the models that they run. It asks a provider for its list and
for nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction

from chatsite.catalogue.errors import (
    AddressError,
    KeyNeededError,
    ModelNameTakenError,
    NameTakenError,
)
from chatsite.catalogue.models import Model, Provider
from chatsite.gateway import notices, upstream
from chatsite.gateway.upstream import LockedError, Permit, Trouble

ENGINE = "remote"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a provider is. `key` None keeps the one that is there."""

    base_url: str
    inside: bool = False
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as a provider calls it (`upstream`), and as it is called here."""

    upstream: str
    name: str


def add_provider(name: str, place: Place) -> Provider:
    sealed = _seal(place, None)
    try:
        with transaction.atomic():
            return Provider.objects.create(name=name, permit=sealed)
    except IntegrityError as error:
        raise NameTakenError from error


@transaction.atomic
def change_provider(pk: int, name: str, place: Place, *, enabled: bool) -> Provider:
    """What runs goes on with what it began with; what comes next has the new place and key."""
    provider = Provider.objects.select_for_update().get(pk=pk)
    provider.name, provider.enabled = name, enabled
    provider.permit = _seal(place, provider)
    try:
        with transaction.atomic():
            provider.save()
    except IntegrityError as error:
        raise NameTakenError from error
    _tell()
    return provider


@transaction.atomic
def remove_provider(pk: int) -> None:
    """With its models. What was said with them stays."""
    Provider.objects.filter(pk=pk).delete()
    _tell()


@transaction.atomic
def choose_models(pk: int, offers: Sequence[Offer]) -> None:
    """These models and no others; those that are there already keep what was set for them."""
    provider = Provider.objects.select_for_update().get(pk=pk)
    known = {model.source["model"]: model for model in provider.models.all()}
    wanted = {offer.upstream: offer.name for offer in offers}
    for upstream_name, model in known.items():
        name = wanted.get(upstream_name)
        if name is None:
            model.delete()
        elif model.name != name:
            # Names may change places: first all are out of each other's way.
            model.name = f"\x1f{model.pk}"
            model.save(update_fields=["name"])
    for upstream_name, name in wanted.items():
        _put(known.get(upstream_name), provider, upstream_name, name)
    _tell()


def _put(model: Model | None, provider: Provider, upstream_name: str, name: str) -> None:
    namesake = Model.objects.filter(name=name).first()
    if namesake and namesake != model:
        raise ModelNameTakenError(name)
    if model is None:
        source = {"model": upstream_name}
        model = Model(provider=provider, engine=ENGINE, source=source)
    model.name = name
    model.save()


def allowed(provider: Provider) -> Permit | None:
    """Address and key; None where the site's secret is another one by now."""
    try:
        return upstream.unseal(provider.permit)
    except LockedError:
        return None


def list_models(provider: Provider) -> list[str]:
    """What the provider has; Trouble where it cannot be asked. Takes up to 20 s."""
    permit = allowed(provider)
    if permit is None:
        raise Trouble("remote_locked")
    return upstream.list_models(permit)


def _seal(place: Place, provider: Provider | None) -> str:
    """The permit; the same text again where nothing has changed, since a new one means that the
    engine is loaded anew."""
    try:
        url = upstream.normalize(place.base_url)
        origin = upstream.origin(url)
    except Trouble:
        raise AddressError from None
    before = allowed(provider) if provider else None
    key = place.key
    if key is None:
        # A key is shown to nobody for whom it was not entered.
        if before and before.key and upstream.origin(before.base_url) != origin:
            raise KeyNeededError
        key = before.key if before else ""
    permit = Permit(url, place.inside, key)
    return provider.permit if provider and permit == before else upstream.seal(permit)


def _tell() -> None:
    transaction.on_commit(lambda: notices.publish(None, "models"))
