"""What may come in: weights in two formats and plain data beside them, whose headers hold against
doubt (R3, R5). It reads them in Python and loads nothing."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from inference import gguf, places
from inference.gguf import GgufError
from inference.library import safetensors, variants
from inference.library.nouns import LibraryError, Shapes
from inference.library.safetensors import SafetensorsError
from inference.library.shapes import of_config, of_header

GGUF, SAFETENSORS = ".gguf", ".safetensors"
MOST_FILES = 2000
# Of a tokenizer's list of words.
LARGEST_JSON = 64 << 20


@dataclass(frozen=True, slots=True)
class Passed:
    """What the files are, as far as they say it themselves; `parts`: those that an engine maps."""

    file: str
    engine: str
    format: str
    paths: tuple[str, ...]
    parts: tuple[str, ...]
    quant: str
    shapes: Shapes
    name: str = ""
    template: str = ""


def is_allowed(path: str) -> bool:
    """Weights, and data that an engine reads beside them; never code, never a pickle."""
    name = PurePosixPath(path).name
    weights = name.lower().endswith((GGUF, SAFETENSORS))
    return places.is_plain(path) and (weights or bool(variants.BESIDE.fullmatch(name)))


def check_names(paths: Iterable[str]) -> None:
    """LibraryError refused_file for what may not come, before a byte is fetched."""
    odd = next((path for path in paths if not is_allowed(path)), None)
    if odd is not None:
        raise LibraryError("refused_file", file=odd[:200])


def walk(folder: Path, *, hidden: bool = True) -> list[str]:
    """All files below, as paths with slashes; refused_file for a link or anything that is no file,
    without following it. Those with a dot are looked at where `hidden`."""
    found: list[str] = []
    waiting = [folder]
    while waiting:
        for each in sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name):
            if each.name[0] == "." and not hidden:
                continue
            path = Path(each.path)
            name = path.relative_to(folder).as_posix()
            mode = each.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                waiting.append(path)
            elif stat.S_ISREG(mode):
                found.append(name)
            else:
                raise LibraryError("refused_file", file=name[:200])
            if len(found) + len(waiting) > MOST_FILES:
                raise LibraryError("refused_file", f"More than {MOST_FILES} files.")
    return sorted(found)


def judge(folder: Path, wanted: str = "") -> Passed:
    """Look at all that lies there. LibraryError refused_file, bad_header, incomplete, several.
    `wanted`: which file the engine is to be given, where there are several."""
    paths = walk(folder)
    for path in paths:
        if not is_allowed(path):
            raise LibraryError("refused_file", file=path[:200])
    weights = [path for path in paths if path.lower().endswith((GGUF, SAFETENSORS))]
    for path in weights:
        check_header(folder / path)
    if not any(path.lower().endswith(GGUF) for path in weights):
        return _tensors(folder, paths, weights)
    if len({PurePosixPath(path).suffix.lower() for path in weights}) > 1:
        raise LibraryError("several")
    return _gguf(folder, paths, choose(weights, wanted))


def check_header(path: Path) -> None:
    """LibraryError bad_header where it lies."""
    try:
        if path.name.lower().endswith(SAFETENSORS):
            safetensors.check(path)
        else:
            with path.open("rb") as file:
                gguf.read_open(file, path.stat().st_size)
    except (GgufError, SafetensorsError) as error:
        raise LibraryError("bad_header", str(error), file=path.name, why=str(error)) from None


def choose(weights: Sequence[str], wanted: str = "") -> str:
    """The file that an engine is given: the only model's first part. What sees pictures
    (mmproj) stands beside it."""
    if wanted in weights:
        return wanted
    own = [path for path in weights if "mmproj" not in PurePosixPath(path).name.lower()]
    first = {gguf.PART.sub(GGUF, path): path for path in sorted(own, reverse=True)}
    if len(first) > 1:
        raise LibraryError("several")
    if not first:
        raise LibraryError("incomplete")
    return next(iter(first.values()))


def _gguf(folder: Path, paths: list[str], file: str) -> Passed:
    try:
        parts = gguf.parts(folder / file)
        header = gguf.read(folder / file)
    except GgufError as error:
        kind = "incomplete" if error.kind == "parts" else "bad_header"
        raise LibraryError(kind, str(error), file=file, why=str(error)) from None
    shapes = of_header(header)
    if not shapes.parameters or not shapes.layers:
        raise LibraryError("bad_header", file=file, why="It holds no model.")
    return Passed(
        file=file,
        engine="llamacpp-embed" if shapes.embeds else "llamacpp",
        format="gguf",
        paths=tuple(paths),
        parts=tuple(part.relative_to(folder).as_posix() for part in parts),
        quant=variants.quant(file) or header.quantization,
        shapes=shapes,
        name=header.name[:200],
        template=header.chat_template,
    )


def _tensors(folder: Path, paths: list[str], weights: list[str]) -> Passed:
    if not weights or "config.json" not in paths:
        raise LibraryError("incomplete")
    config = _read(folder / "config.json")
    _check_listed(folder, paths)
    shapes = of_config(config)
    if not shapes.parameters:
        counted = sum(safetensors.check(folder / path) for path in weights)
        shapes = replace(shapes, parameters=counted, active_parameters=counted)
    return Passed(
        file="config.json",
        engine="vllm",
        format="safetensors",
        paths=tuple(paths),
        parts=tuple(weights),
        quant="",
        shapes=shapes,
        template=_template(folder, paths),
    )


def _check_listed(folder: Path, paths: list[str]) -> None:
    """Where a list says which file has which tensor, all of those files are there."""
    for path in (each for each in paths if each.endswith(".safetensors.index.json")):
        listed = _read(folder / path).get("weight_map")
        names = {str(each) for each in listed.values()} if isinstance(listed, dict) else {"?"}
        beside = PurePosixPath(path).parent
        missing = [each for each in names if str(beside / each) not in paths]
        if missing:
            raise LibraryError("incomplete", file=missing[0][:200])


def _template(folder: Path, paths: list[str]) -> str:
    if "chat_template.jinja" in paths:
        file = folder / "chat_template.jinja"
        return file.read_text(encoding="utf-8", errors="replace")[: 1 << 20]
    if "tokenizer_config.json" not in paths:
        return ""
    told = _read(folder / "tokenizer_config.json").get("chat_template")
    return told if isinstance(told, str) else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError("It is too long.")
        told = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise LibraryError("bad_header", file=path.name, why=str(error)[:100]) from None
    if not isinstance(told, dict):
        raise LibraryError("bad_header", file=path.name, why="It is no object.")
    return told
