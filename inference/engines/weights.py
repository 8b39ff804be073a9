"""Where a model's weights lie on this machine. It opens nothing."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from inference import places
from inference.engines.base import LoadError


def locate(source: Mapping[str, str]) -> Path:
    """The weights' path: {"path"} as it is, {"package", "file"} inside an installed package,
    {"store"} (folder/file) among the models of this worker (R6)."""
    if "path" in source:
        path = Path(source["path"])
    elif "store" in source:
        path = _stored(source["store"])
    else:
        found = importlib.util.find_spec(source.get("package") or "none")
        if found is None or not found.submodule_search_locations:
            raise LoadError(f"The package {source.get('package')!r} is not installed.")
        path = Path(found.submodule_search_locations[0]) / source["file"]
    if not path.is_file():
        raise LoadError(f"There is no file {path}.")
    return path


def locate_folder(source: Mapping[str, str]) -> Path:
    """The folder of a model whose weights are safetensors: {"path"} itself or a file in it, or that
    of {"store"} (folder/file)."""
    path = Path(source["path"]) if "path" in source else _stored(source.get("store", ""))
    found = path if path.is_dir() else path.parent
    if not (found / "config.json").is_file() or not any(found.glob("*.safetensors")):
        raise LoadError(f"There are no safetensors with their config.json in {found}.")
    return found


def _stored(name: str) -> Path:
    folder, _, file = name.partition("/")
    try:
        return places.stored(places.data_dir() / places.STORE, folder, file)
    except places.OddNameError:
        raise LoadError(f"{name[:200]!r} is no place of the store.") from None
