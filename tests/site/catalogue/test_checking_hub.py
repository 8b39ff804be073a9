"""`models check` against a hub that speaks the real protocol: what a worker's process says of a
repository, compared with the list."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from chatsite.catalogue import checking, curated
from chatsite.catalogue.curated import Entry, Offer
from chatsite.gateway.library import Hub, LibraryError, Repository
from tests.hub.server import Hub as Server
from tests.inference.ggufs import build

REPO = "unsloth/Qwen3.5-4B-GGUF"
WEIGHTS = build()
PICTURES = b"GGUF" + bytes(500)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def look(server: Server, tmp_path: Path) -> Callable[[str], Repository]:
    """As a worker asks: in a process of its own, over the network."""

    def ask(repo: str) -> Repository:
        hub = asdict(Hub(server.url, hosts=(server.files,)))
        question = {"kind": "look", "args": {"repo": repo}, "hub": hub}
        command = json.dumps({"data_dir": str(tmp_path), "question": question})
        program = [sys.executable, "-m", "inference.library.process"]
        pipe = subprocess.PIPE
        with subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as child:
            assert child.stdin
            assert child.stdout
            child.stdin.write(command.encode() + b"\n")
            child.stdin.flush()
            answer = json.loads(child.stdout.readline())
        if "error" in answer:
            raise LibraryError.from_dict(answer["error"])
        return Repository.from_dict(answer["result"])

    return ask


@pytest.fixture
def entry() -> Entry:
    """As in the list, but with the sizes of the small files of this test."""
    found = curated.find(REPO)
    assert found is not None
    offers = tuple(sized(each, len(WEIGHTS)) for each in found.offers)
    return replace(found, offers=offers, projectors=(sized(found.projectors[0], len(PICTURES)),))


def sized(offer: Offer, size: int) -> Offer:
    return replace(offer, size=size, exact=True)


def files(entry: Entry) -> dict[str, bytes | Path]:
    weights = {path: WEIGHTS for offer in entry.offers for path in offer.files}
    return {**weights, entry.projectors[0].files[0]: PICTURES, "README.md": b"# A model"}


def test_it_works(server: Server, look: checking.Look, entry: Entry) -> None:
    server.add(REPO, files(entry))
    (report,) = checking.check([entry], look)
    assert report.lines() == [f"{REPO}: as the list says"]


def test_what_changed_on_the_hub_is_told(server: Server, look: checking.Look, entry: Entry) -> None:
    changed = files(entry)
    del changed["Qwen3.5-4B-Q8_0.gguf"]
    del changed["mmproj-F16.gguf"]
    changed["Qwen3.5-4B-Q6_K.gguf"] = build(data=2000)
    server.add(REPO, changed, licence="mit")
    (report,) = checking.check([entry], look)
    found = {(each.kind, each.what) for each in report.differences}
    assert found == {
        ("licence", ""),
        ("file", "Qwen3.5-4B-Q8_0.gguf"),
        ("file", "mmproj-F16.gguf"),
        ("size", "Qwen3.5-4B-Q6_K.gguf"),
    }


def test_a_gate_that_was_put_up(server: Server, look: checking.Look, entry: Entry) -> None:
    """What it has can be seen by everybody; only the files are given to members alone."""
    server.add(REPO, files(entry), gated="manual")
    (report,) = checking.check([entry], look)
    assert [each.kind for each in report.differences] == ["gated"]


def test_a_repository_that_is_gone_or_private(
    server: Server, look: checking.Look, entry: Entry
) -> None:
    (gone,) = checking.check([entry], look)
    server.add(REPO, files(entry), private=True)
    (private,) = checking.check([entry], look)
    for report in (gone, private):
        assert {each.kind for each in report.differences} <= {"missing", "no_access"}
        assert report.differences


def test_a_hub_that_asks_for_a_rest_gets_it(
    server: Server, look: checking.Look, entry: Entry
) -> None:
    server.add(REPO, files(entry))
    server.fail(status=429, headers={"Retry-After": "60"}, times=100)
    reports = list(checking.check([entry, entry], look))
    assert [report.differences[0].kind for report in reports] == ["rate_limited"]
