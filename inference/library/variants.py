"""Which files of a repository belong together: quantizations, parts, what stands beside. It knows
names and sizes alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from inference.gguf import PART
from inference.library.nouns import FileRef, Variant

QUANT = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:IQ[1-4]_(?:XXS|XS|S|M|NL)|Q[2-8]_K(?:_(?:XXL|XL|L|M|S))?|Q[2-8]_[01](?:_[0-9_]+)?"
    r"|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|FP16|F16|FP32|F32))(?=$|[-._/])",
    re.IGNORECASE,
)
# The whole set once more, in another layout or precision.
DOUBLES = re.compile(r"(?:^|/)(?:consolidated|pytorch_model|model\.fp(?:16|32))[^/]*\.safetensors$")
# Data that an engine reads beside safetensors. Code never comes.
BESIDE = re.compile(
    r"[^/]*\.(?:json|jinja|txt|model)"
    r"|(?:README|LICENSE|LICENCE|NOTICE|USE_POLICY)[^/.]*(?:\.(?:md|rst|txt))?",
    re.IGNORECASE,
)
# What a card or a list of weights costs to fetch, no tokenizer reaches.
LARGEST_BESIDE = 200 << 20


def of(files: Sequence[FileRef]) -> tuple[list[Variant], list[FileRef]]:
    """The variants, small ones first, and the files that go with any of them (mmproj)."""
    ggufs = [each for each in files if each.path.lower().endswith(".gguf")]
    aside = [each for each in ggufs if "mmproj" in PurePosixPath(each.path).name.lower()]
    weights = [each for each in ggufs if each not in aside and "imatrix" not in each.path.lower()]
    groups: dict[str, list[FileRef]] = {}
    for each in weights:
        groups.setdefault(PART.sub(".gguf", each.path), []).append(each)
    found = [
        Variant(quant(path), "gguf", tuple(sorted(parts, key=lambda part: part.path)))
        for path, parts in groups.items()
        if _is_whole(parts)
    ]
    found += _tensors(files)
    return sorted(found, key=lambda variant: (variant.bytes, variant.quant)), aside


def quant(path: str) -> str:
    """Q4_K_M and the like, as the name of a file says it; "" where it does not."""
    for text in (PurePosixPath(path).name, path):
        if names := QUANT.findall(PART.sub(".gguf", text)):
            return str(names[-1]).upper()
    return ""


def stem(variant: Variant) -> str:
    """What all quantizations of one model have in common: their headers tell the same shapes."""
    path = PART.sub(".gguf", variant.files[0].path)
    name = PurePosixPath(path).name
    return QUANT.sub("", name).lower()


def _is_whole(parts: Sequence[FileRef]) -> bool:
    found = PART.search(parts[0].path)
    return len(parts) == (int(found[2]) if found else 1)


def _tensors(files: Sequence[FileRef]) -> list[Variant]:
    """Safetensors are one variant with all that their engine reads."""
    weights = [
        each
        for each in files
        if each.path.endswith(".safetensors")
        and "/" not in each.path
        and not each.path.startswith("adapter_")
    ]
    own = [each for each in weights if not DOUBLES.search(each.path)] or weights
    names = {each.path for each in files}
    if not own or "config.json" not in names:
        return []
    beside = [
        each for each in files if BESIDE.fullmatch(each.path) and 0 < each.size <= LARGEST_BESIDE
    ]
    first = sorted(own, key=lambda each: each.path)
    return [Variant("", "safetensors", tuple(first + sorted(beside, key=lambda each: each.path)))]
