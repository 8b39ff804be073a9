"""`models check`: where the hub differs from the curated list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from chatsite.catalogue import checking, curated, troubles
from chatsite.catalogue.curated import Entry
from chatsite.gateway.library import FileRef, LibraryError, Repository, Variant

EXACT = "ggml-org/gpt-oss-20b-GGUF"
ROUNDED = "Qwen/Qwen3-8B-GGUF"


def entry(repo: str) -> Entry:
    found = curated.find(repo)
    assert found is not None
    return found


def as_told(told: Entry) -> Repository:
    """The repository of a hub on which everything is as the list says."""
    variants = []
    for offer in told.offers:
        first, *others = offer.files
        files = (FileRef(first, offer.size), *(FileRef(path) for path in others))
        variants.append(Variant(offer.quant, told.format, files))
    licence = told.licence.split(", ")[0]
    aside = tuple(FileRef(each.files[0], each.size) for each in told.projectors)
    return Repository(told.repo, licence=licence, variants=tuple(variants), aside=aside)


def look(repo: str) -> Repository:
    return as_told(entry(repo))


def failing(error: LibraryError, among: Callable[[str], bool]) -> checking.Look:
    def ask(repo: str) -> Repository:
        if among(repo):
            raise error
        return look(repo)

    return ask


def told(found: Repository) -> list[str]:
    return [str(each) for each in checking.differences(entry(found.repo), found)]


def grown(found: Repository, share: float) -> Repository:
    """Every file is longer by that share."""
    variants = [
        replace(v, files=tuple(replace(f, size=round(f.size * share)) for f in v.files))
        for v in found.variants
    ]
    return replace(found, variants=tuple(variants))


def test_it_works() -> None:
    lines: list[str] = []
    assert checking.run(lines.append, look=look)
    assert lines[-1] == "79 of 79 as the list says, 0 not looked up."
    assert lines[0] == "Qwen/Qwen2.5-7B-Instruct: as the list says"


def test_only_what_the_words_find() -> None:
    lines: list[str] = []
    assert checking.run(lines.append, "gpt-oss 120b", look)
    assert lines == [
        "ggml-org/gpt-oss-120b-GGUF: as the list says",
        "1 of 1 as the list says, 0 not looked up.",
    ]


def test_a_file_that_is_gone() -> None:
    found = look(ROUNDED)
    assert told(replace(found, variants=found.variants[1:])) == [
        "Qwen3-8B-Q4_K_M.gguf is not there any more"
    ]


def test_a_part_that_is_gone() -> None:
    found = look("ggml-org/gpt-oss-120b-GGUF")
    whole = found.variants[0]
    less = replace(found, variants=(replace(whole, files=whole.files[:-1]),))
    assert told(less) == ["gpt-oss-120b-mxfp4-00003-of-00003.gguf is not there any more"]


def test_what_reads_images_is_looked_for_too() -> None:
    found = look("unsloth/Qwen3.5-4B-GGUF")
    assert told(found) == []
    assert told(replace(found, aside=())) == ["mmproj-F16.gguf is not there any more"]


def test_an_exact_size_has_to_be_exact() -> None:
    found = grown(look(EXACT), 1.000001)
    (line,) = told(found)
    size = "gpt-oss-20b-mxfp4.gguf has 12109578670 bytes, the list says 12109566560"
    assert line == size


def test_a_rounded_size_may_differ_a_little() -> None:
    assert told(grown(look(ROUNDED), 1.03)) == []
    lines = told(grown(look(ROUNDED), 1.2))
    assert len(lines) == 4
    assert lines[0].startswith("Qwen3-8B-Q4_K_M.gguf has 605")


def test_an_unknown_size_differs_from_nothing() -> None:
    repo = "openbmb/MiniCPM5-1B-GGUF"
    found = look(repo)
    sized = replace(found.variants[1], files=(FileRef("MiniCPM5-1B-Q8_0.gguf", 1_100_000_000),))
    assert told(replace(found, variants=(found.variants[0], sized))) == []


def test_a_gate_and_a_licence() -> None:
    def kinds(repo: str, **changed: Any) -> list[str]:
        found = replace(look(repo), **changed)
        return [each.kind for each in checking.differences(entry(repo), found)]

    assert kinds(ROUNDED, gated="manual") == ["gated"]
    # Nobody looked for a gate there, so that it is open is no news.
    assert entry(ROUNDED).gated is None
    assert kinds(ROUNDED, gated="") == []
    assert kinds(ROUNDED, licence="mit") == ["licence"]
    assert kinds(ROUNDED, licence="") == []
    assert kinds(ROUNDED, licence="other") == []
    assert kinds("unsloth/DeepSeek-R1-Distill-Llama-8B-GGUF", licence="llama3.1") == []
    was_gated = replace(entry(ROUNDED), gated=True)
    assert [each.kind for each in checking.differences(was_gated, look(ROUNDED))] == ["open"]


@pytest.mark.parametrize("kind", ["missing", "no_access", "gated"])
def test_trouble_of_one_repository_stops_nothing(kind: str) -> None:
    error = LibraryError(kind, repo="x/y")
    reports = list(checking.check(entries(), failing(error, lambda repo: "Qwen3" in repo)))
    assert len(reports) == 79
    troubled = [report for report in reports if report.differences]
    assert {report.differences[0].kind for report in troubled} == {kind}
    assert all("Qwen3" in report.entry.repo for report in troubled)


@pytest.mark.parametrize(
    ("kind", "asked"),
    [("no_worker", 1), ("broker", 1), ("rate_limited", 1), ("hub_down", 3), ("cut_off", 3)],
)
def test_it_does_not_ask_on_in_vain(kind: str, asked: int) -> None:
    error = LibraryError(kind, seconds=60)
    lines: list[str] = []
    assert not checking.run(lines.append, look=failing(error, lambda repo: True))
    assert lines[0] == "Qwen/Qwen2.5-7B-Instruct:"
    assert lines[1] == f"  {troubles.explain(error.to_dict())}"
    assert lines[-1] == f"0 of 79 as the list says, {79 - asked} not looked up."


def test_a_hub_that_comes_back_is_asked_on() -> None:
    turns = iter([True, True, False] * 40)
    error = LibraryError("hub_down", status=503)
    reports = list(checking.check(entries(), failing(error, lambda repo: next(turns))))
    assert len(reports) == 79


def test_it_ends_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "LONGEST", -1.0)
    assert len(list(checking.check(entries(), look))) == 1


def entries() -> Iterator[Entry]:
    return (each for each in curated.entries() if each.repo)
