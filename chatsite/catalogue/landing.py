"""What has arrived becomes a model that everybody can use; and what is told of a model to another
office. It writes models, in the transaction of its caller."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from chatsite.catalogue import aliases, defaults
from chatsite.catalogue.errors import BadDefaultError
from chatsite.catalogue.models import Alias, Delivery, Model
from chatsite.gateway.library import Landed

# What a bundle may set of the load; an engine is given nothing else that came from outside.
SETTINGS = ("context_length", "slots")


def land(row: Delivery) -> Model:
    """The model of what this delivery brought: switched on, with a name of its own. Harmless when
    the same files are a model already."""
    landed = Landed.from_dict(row.result or {})
    if here := Model.objects.filter(landed__folder=landed.folder).first():
        return here
    told = {**landed.about, **row.about}
    model = Model(
        name=aliases.fresh(_wishes(row, landed, told)),
        title=_title(row, landed, told),
        description=_text(told, "description", 2000),
        system_prompt=_text(told, "system_prompt", 20_000),
        engine=landed.engine[:50],
        source={"store": f"{landed.folder}/{landed.file}"},
        settings=_settings(told),
        defaults=defaults.only_good(told.get("defaults")),
        landed=row.result or {},
        node=row.worker,
        repo=row.repo or _text(told, "repo", 200),
        revision=row.revision or _text(told, "revision", 80),
        licence=(landed.licence or _text(told, "licence", 200))[:200],
    )
    model.save()
    _alias(model, told.get("aliases"))
    return model


def manifest(model: Model) -> dict[str, Any]:
    """What a bundle says of its model beside its files."""
    return {
        "name": model.name,
        "title": model.title,
        "description": model.description,
        "system_prompt": model.system_prompt,
        "licence": model.licence,
        "repo": model.repo,
        "revision": model.revision,
        "settings": {k: v for k, v in model.settings.items() if k in SETTINGS},
        "defaults": model.defaults,
        "aliases": [alias.name for alias in model.aliases.all()],
    }


def _wishes(row: Delivery, landed: Landed, told: dict[str, Any]) -> list[str]:
    """The names that it may get, the best first: what was asked for, what it is called, and that
    with its quantization."""
    own, quant = _own(row, landed), landed.quant or row.quant
    chosen = _text(told, "name", 200)
    return [chosen, own, f"{own}-{quant}" if quant else own]


def _title(row: Delivery, landed: Landed, told: dict[str, Any]) -> str:
    """As people know it. What makers write into the file is often a note to themselves."""
    own = _own(row, landed)
    title = _text(told, "title", 150) or (own if row.repo else landed.name or own)[:150]
    quant = landed.quant or row.quant
    same = quant and Model.objects.filter(title=title).exists()
    return f"{title} {quant[:40]}" if same else title


def _own(row: Delivery, landed: Landed) -> str:
    """The repository's name, or the file's."""
    repo = row.repo.rpartition("/")[2]
    stem = PurePosixPath(landed.file).name.removesuffix(".gguf")
    return repo.removesuffix("-GGUF").removesuffix("-gguf") or stem or landed.name


def _text(told: dict[str, Any], name: str, most: int) -> str:
    """What came with a bundle is a text or nothing."""
    value = told.get(name)
    return value.replace("\0", "")[:most] if isinstance(value, str) else ""


def _settings(told: dict[str, Any]) -> dict[str, Any]:
    given = told.get("settings")
    if not isinstance(given, dict):
        return {}
    out: dict[str, Any] = {}
    for name in SETTINGS:
        try:
            out |= defaults.check_settings({name: given.get(name)})
        except BadDefaultError:
            continue
    return out


def _alias(model: Model, given: Any) -> None:
    """Those of a bundle's that are free here."""
    for name in given[:32] if isinstance(given, list) else []:
        if isinstance(name, str) and aliases.is_name(name) and not aliases.taken(name):
            Alias.objects.create(name=name, model=model)
