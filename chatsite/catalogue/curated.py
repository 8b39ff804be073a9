"""The list of well-known models in `curated.json`, there without a network. It tells what was read
about them (see docs/catalogue.md), not what this machine can run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.utils.translation import get_language

from chatsite.gateway.library import Shapes

FILE = Path(__file__).with_name("curated.json")
UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
BILLION = 10**9


@dataclass(frozen=True, slots=True)
class Text:
    """The same words in the languages of the site; as a string, in the reader's."""

    english: str
    chinese: str

    def __str__(self) -> str:
        return self.chinese if (get_language() or "").startswith("zh") else self.english


@dataclass(frozen=True, slots=True)
class Offer:
    """One quantization of a repository ("" for weights as they were made), its files in order.
    `size` is in bytes, 0 where nobody told; one that is not `exact` is rounded: to be shown, not
    to be relied on."""

    quant: str
    files: tuple[str, ...]
    size: int = 0
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the list; what is unknown is empty, 0 or None. `repo` is where it is downloaded
    from and `base` the model that it was made of; one with `package` came with the installation."""

    name: str
    repo: str
    base: str
    package: str
    publisher: Text
    family: str
    kind: str
    format: str
    description: Text
    licence: str
    # Whether the hub asks for consent first.
    gated: bool | None
    # ISO 639-1 codes of those that were named; `language_count` is what the makers say.
    languages: tuple[str, ...]
    language_count: int
    strengths: tuple[str, ...]
    # Year and month.
    released: str
    shapes: Shapes
    offers: tuple[Offer, ...]
    # For reading images: one of these goes beside the weights.
    projectors: tuple[Offer, ...]
    # The day of the list of files.
    files_as_of: str
    sources: tuple[str, ...]
    sources_note: str

    @property
    def key(self) -> str:
        return self.repo or self.package

    @property
    def kind_text(self) -> Text:
        return words("kinds")[self.kind]

    @property
    def strength_texts(self) -> list[Text]:
        return [words("strengths")[each] for each in self.strengths]

    @property
    def language_texts(self) -> list[Text]:
        return [words("languages")[each] for each in self.languages]


@cache
def entries() -> tuple[Entry, ...]:
    return tuple(_entry(each) for each in _data()["models"])


def find(key: str) -> Entry | None:
    """By its repository, or the package that it came in."""
    return _by_key().get(key.casefold())


@cache
def words(kind: str) -> dict[str, Text]:
    """How the list's own words are told to people: of `kinds`, `strengths`, `languages` (by their
    codes) and `publishers`."""
    return {key: _text(each) for key, each in _data()[kind].items()}


def translate(text: str) -> str:
    """A description in the reader's language, where it is one of this list; else as it is."""
    found = _descriptions().get(text)
    return str(found) if found else text


def families() -> list[str]:
    """Each once, in the order of the list."""
    return list(dict.fromkeys(entry.family for entry in entries()))


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return data


@cache
def _by_key() -> dict[str, Entry]:
    return {entry.key.casefold(): entry for entry in entries()}


@cache
def _descriptions() -> dict[str, Text]:
    return {entry.description.english: entry.description for entry in entries()}


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(
        name=row["name"],
        repo=row["repo"],
        base=row["base_repo"],
        package=row.get("package", ""),
        publisher=words("publishers")[row["publisher"]],
        family=row["family"],
        kind=row["kind"],
        format=row["format"],
        description=_text(row["description"]),
        licence=row["licence"],
        gated=row["gated"],
        languages=tuple(row.get("languages", ())),
        language_count=row.get("language_count") or len(row.get("languages", ())),
        strengths=tuple(row["strengths"]),
        released=row["released"],
        shapes=_shapes(row),
        offers=tuple(_offer(each["quant"], each) for each in row["variants"]),
        projectors=tuple(
            _offer("", {"files": {path: size}}) for path, size in row.get("projectors", {}).items()
        ),
        files_as_of=row.get("files_as_of", ""),
        sources=tuple(row["sources"]),
        sources_note=row.get("sources_note", ""),
    )


def _text(pair: Mapping[str, str]) -> Text:
    return Text(english=pair["en"], chinese=pair["zh"])


def _offer(quant: str, row: Mapping[str, Any]) -> Offer:
    """With the size of the whole where that was told, else the sum where each file's was."""
    files: dict[str, int | str | None] = row["files"]
    told = [row["size"]] if row.get("size") else list(files.values())
    if None in told:
        return Offer(quant, tuple(files))
    exact = all(isinstance(each, int) for each in told)
    return Offer(quant, tuple(files), sum(_bytes(each) for each in told), exact)


def _bytes(size: int | str | None) -> int:
    """Of `4683073632`, or as a page had it: `4.68 GB`, `4.4 GiB`."""
    if isinstance(size, str):
        number, unit = size.split()
        return round(float(number) * UNITS[unit])
    return size or 0


def _shapes(row: Mapping[str, Any]) -> Shapes:
    """All layers count as if they kept everything: an upper bound for those that keep less."""
    told = {key: value or 0 for key, value in row["shapes"].items()}
    parameters = round((row["parameters_b"] or 0) * BILLION)
    mixture = "experts" in row["strengths"]
    active = round(row.get("active_b", 0) * BILLION) if mixture else parameters
    return Shapes(
        parameters=parameters,
        active_parameters=active,
        layers=told["n_layers"],
        context_length=row["context_length"] or 0,
        embedding_length=told["hidden"],
        vocab_size=told["vocab"],
        head_count=told["n_heads"],
        head_count_kv=(told["n_kv_heads"],) * told["n_layers"] if told["n_kv_heads"] else (),
        key_length=told["head_dim"],
        value_length=told["head_dim"],
        embeds=row["kind"] == "embedding",
    )
