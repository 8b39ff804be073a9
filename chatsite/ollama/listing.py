"""What Ollama's clients are told of models: of their names and settings, and of what is loaded now.
The weights themselves are no matter of the site's: what nobody told of them is left empty."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from django.utils import timezone

from chatsite.api.answers import Json
from chatsite.catalogue.models import Model
from chatsite.gateway.engines import EngineState
from chatsite.ollama.answers import stamp
from chatsite.ollama.names import listed

CAPABILITIES = {"answers": ["completion", "tools"], "vectors": ["embedding"]}
# The parts of a GGUF file's name that say how large the model is, and in which numbers.
SIZE = re.compile(r"(?<![a-z0-9.])\d+(?:\.\d+)?[mbt](?![a-z0-9])", re.IGNORECASE)
NUMBERS = re.compile(r"(?<![a-z0-9])(?:i?q\d_\w+|bf16|f16|f32|mxfp4)(?![a-z0-9])", re.IGNORECASE)
# Models stay until somebody's need their memory: so far away that the clients write "forever".
FOREVER = timedelta(days=36_500)


def tag(model: Model) -> Json:
    return {
        "name": listed(model),
        "model": listed(model),
        "modified_at": stamp(model.created),
        # Bytes on the disk of a worker; 0 of what did not come through the library.
        "size": model.size,
        "digest": digest(model),
        "details": details(model),
    }


def digest(model: Model) -> str:
    """Tells entries of the catalogue apart, also where one takes the place of another."""
    told = [model.pk, model.name, model.engine, model.source]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def details(model: Model) -> Json:
    source, shapes = model.source, model.landed.get("shapes") or {}
    place = source.get("file") or source.get("path") or source.get("store") or ""
    file = PurePosixPath(str(place)).name
    size = SIZE.search(file) or SIZE.search(model.name)
    numbers = NUMBERS.search(file)
    family = str(shapes.get("architecture") or "")
    return {
        "parent_model": "",
        "format": "gguf" if file.lower().endswith(".gguf") else "",
        "family": family,
        "families": [family] if family else [],
        "parameter_size": size.group().upper() if size else "",
        "quantization_level": model.quant or (numbers.group().upper() if numbers else ""),
    }


def shown(model: Model, context_length: int) -> Json:
    """`context_length`: 0 where it is not known."""
    # Editors look for the length under the name that stands as the architecture.
    info: Json = {"general.architecture": model.engine, "general.basename": model.name}
    if context_length:
        info[f"{model.engine}.context_length"] = context_length
    return {
        "modelfile": modelfile(model),
        "parameters": f"{'num_ctx':<30} {context_length}" if context_length else "",
        "template": "",
        "system": model.system_prompt,
        "details": details(model),
        "model_info": info,
        "capabilities": [each for kind in sorted(model.gives) for each in CAPABILITIES[kind]],
        "modified_at": stamp(model.created),
    }


def modelfile(model: Model) -> str:
    lines = [f"FROM {listed(model)}"]
    if model.system_prompt:
        lines.append(f'SYSTEM """{model.system_prompt}"""')
    return "\n".join(lines)


def length(model: Model, engines: Sequence[EngineState]) -> int:
    """Tokens that one conversation may have: as loaded, else as the admin has set it."""
    loaded = [engine.context_length for engine in engines if engine.model == model.name]
    set_to = model.settings.get("context_length")
    return max(loaded, default=0) or (set_to if isinstance(set_to, int) else 0)


def loaded(model: Model, engines: Sequence[EngineState]) -> Json | None:
    """The model as it runs, on all workers together; None where it does not."""
    mine = [engine for engine in engines if engine.model == model.name]
    if not mine:
        return None
    return {
        "name": listed(model),
        "model": listed(model),
        "size": sum(engine.memory_bytes for engine in mine),
        "digest": digest(model),
        "details": details(model),
        "expires_at": stamp(far()),
        "size_vram": sum(engine.memory_bytes for engine in mine if engine.gpu_layers),
        "context_length": length(model, mine),
    }


def far() -> datetime:
    return timezone.now() + FOREVER
