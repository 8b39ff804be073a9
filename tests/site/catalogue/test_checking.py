"""`models check`: where the hub differs from the curated list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from chatsite.catalogue import checking, curated
from chatsite.catalogue.curated import Entry
from chatsite.catalogue.library import Repository
from chatsite.gateway.library import FileRef, LibraryError, Variant

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
    return Repository(told.repo, "c0ffee", tuple(variants), bool(told.gated), licence)


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
    assert lines[0] == "ok      Qwen/Qwen2.5-7B-Instruct"


def test_only_what_the_words_find() -> None:
    lines: list[str] = []
    assert checking.run(lines.append, "gpt-oss 120b", look)
    assert lines == [
        f"ok      {EXACT.replace('20b', '120b')}",
        "1 of 1 as the list says, 0 not looked up.",
    ]


def test_a_file_that_is_gone() -> None:
    found = look(ROUNDED)
    assert told(replace(found, variants=found.variants[1:])) == ["file Qwen3-8B-Q4_K_M.gguf"]


def test_a_part_that_is_gone() -> None:
    found = look("ggml-org/gpt-oss-120b-GGUF")
    whole = found.variants[0]
    less = replace(found, variants=(replace(whole, files=whole.files[:-1]),))
    assert told(less) == ["file gpt-oss-120b-mxfp4-00003-of-00003.gguf"]


def test_an_exact_size_has_to_be_exact() -> None:
    found = grown(look(EXACT), 1.000001)
    (line,) = told(found)
    assert line == "size gpt-oss-20b-mxfp4.gguf: 12109566560 -> 12109578670"


def test_a_rounded_size_may_differ_a_little() -> None:
    assert told(grown(look(ROUNDED), 1.03)) == []
    lines = told(grown(look(ROUNDED), 1.2))
    assert len(lines) == 4
    assert lines[0].startswith("size Qwen3-8B-Q4_K_M.gguf: about 5046586573 -> 605")


def test_an_unknown_size_differs_from_nothing() -> None:
    repo = "openbmb/MiniCPM5-1B-GGUF"
    found = look(repo)
    sized = replace(found.variants[1], files=(FileRef("MiniCPM5-1B-Q8_0.gguf", 1_100_000_000),))
    assert told(replace(found, variants=(found.variants[0], sized))) == []


def test_a_gate_and_a_licence() -> None:
    assert told(replace(look(ROUNDED), gated=True)) == ["gated: unknown -> gated"]
    # Of this one a page was read that had no gate.
    was_open = "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF"
    assert told(replace(look(was_open), gated=True)) == ["gated: open -> gated"]
    assert told(replace(look(ROUNDED), licence="mit")) == ["licence: apache-2.0 -> mit"]
    assert told(replace(look(ROUNDED), licence="")) == []
    both = "unsloth/DeepSeek-R1-Distill-Llama-8B-GGUF"
    assert told(replace(look(both), licence="llama3.1")) == []


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
    assert lines[0] == "failed  Qwen/Qwen2.5-7B-Instruct"
    assert lines[1] == f"        {kind} seconds 60"
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
