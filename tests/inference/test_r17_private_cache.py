"""R17: what was computed for one user is never of use to another, nor can another tell whether it
is there."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from inference.contract import Message, ModelSpec, Request
from inference.engines import shelf as module
from inference.engines.disk import Disk
from inference.engines.shelf import PUBLIC, WORTH, Kept, Shelf
from tests.inference.test_plain_tools import NOW, intake

MIB = 1 << 20
SECRET = np.arange(1000, 1400, dtype=np.int32)


@pytest.fixture(params=["memory", "disk", "both", "restart"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """A shelf with Alice's conversation."""
    if request.param == "memory":
        shelf = Shelf(MIB, None)
    else:
        shelf = Shelf(1 if request.param == "disk" else MIB, Disk(tmp_path / "kv", "model", MIB))
    shelf.put("alice", SECRET, b"of alice")
    if request.param == "both":
        shelf.tidy()
        assert shelf.figures()["disk_entries"] == 1
    if request.param == "restart":
        shelf.close(10)
        shelf = Shelf(MIB, Disk(tmp_path / "kv", "model", MIB))
    return shelf


def test_r17_another_user_finds_nothing(filled: Shelf) -> None:
    for scope in ("bob", "Alice", "alice ", "alic", "alice\0", PUBLIC):
        for length in (32, 33, 399, 400):
            assert filled.find(scope, SECRET[:length]) is None
    found = filled.find("alice", SECRET)
    assert found
    assert filled.load(found[0]) == b"of alice"


def test_r17_another_user_cannot_time_it(filled: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bob's search does the same work whether Alice has just this conversation or nothing."""
    compared, common = [], module._common

    def counted(kept: Kept, tokens: bytes) -> int:
        compared.append(kept.scope)
        return common(kept, tokens)

    monkeypatch.setattr(module, "_common", counted)
    empty = Shelf(MIB, None)
    for shelf in (filled, empty):
        for scope in ("bob", PUBLIC):
            shelf.put(scope, np.concatenate([SECRET[:100], [7]]).astype(np.int32), b"x")
        compared.clear()
        found = shelf.find("bob", SECRET)
        assert found
        assert found[1] == 100
        assert found[0].scope in ("bob", PUBLIC)
        assert sorted(compared) == [PUBLIC, "bob"]


def test_r17_what_bob_keeps_changes_nothing_of_alices(filled: Shelf) -> None:
    filled.put("bob", np.concatenate([SECRET, [7]]).astype(np.int32), b"longer")
    found = filled.find("alice", SECRET)
    assert found
    assert (found[0].scope, filled.load(found[0])) == ("alice", b"of alice")
    filled.put("bob", np.concatenate([SECRET, [8]]).astype(np.int32), b"n", replaces=found[0])
    assert filled.load(found[0]) == b"of alice"


def test_r17_what_an_admin_published_is_for_all(tmp_path: Path) -> None:
    shelf = Shelf(MIB, Disk(tmp_path / "kv", "model", MIB))
    shelf.put(PUBLIC, SECRET[:100], b"published")
    while shelf.tidy():
        pass
    for each in (shelf, Shelf(MIB, Disk(tmp_path / "kv", "model", MIB))):
        for scope in ("alice", "bob"):
            found = each.find(scope, SECRET)
            assert found
            assert (each.load(found[0]), found[1]) == (b"published", 100)
    # A user's own goes on from it without becoming part of it.
    shelf.put("alice", SECRET, b"of alice")
    found = shelf.find("bob", SECRET)
    assert found
    assert (found[0].scope, found[1]) == (PUBLIC, 100)


def test_r17_tokens_are_compared_themselves() -> None:
    """-1 and -2 have one hash in Python, and so have the tuples of them: what a key of hashes
    would mix up is kept apart, as is every change of a single token."""
    shelf = Shelf(MIB, None)
    ones, twos = (np.full(64, value, np.int32) for value in (-1, -2))
    assert hash((-1,) * 64) == hash((-2,) * 64)
    shelf.put("alice", ones, b"ones")
    assert shelf.find("alice", twos) is None
    draw = random.Random(17)
    shelf.put("alice", SECRET, b"of alice")
    for _ in range(200):
        place = draw.randrange(len(SECRET))
        changed = SECRET.copy()
        changed[place] += draw.choice([1, 256, 65_536, 1 << 24])
        found = shelf.find("alice", changed)
        assert (found[1] if found else 0) == (place if place >= WORTH else 0)


# Where templates of model families put an admin's words: behind the tools, or in the last question.
BEHIND_TOOLS = "{{ tools or '' }}{% for m in messages %}<{{ m.content }}>{% endfor %}"
IN_THE_LAST = (
    "{% for m in messages if m.role != 'system' %}[{% if loop.last %}{{ messages[0].content }}: "
    "{% endif %}{{ m.content }}]{% endfor %}"
)
ADMINS = Message("system", "Be kind to all.", published=True)
TOLD = (Message("user", "a secret"), Message("assistant", "I see."), Message("user", "And now?"))


def published(source: str, *messages: Message, tools: tuple[dict[str, object], ...] = ()) -> str:
    asked = Request("id", "alice", ModelSpec("m", "e", {}), (ADMINS, *messages), tools=tools)
    prompt = intake(source).read(asked)
    return "".join(map(chr, prompt.tokens[: prompt.published]))


def test_r17_what_a_template_puts_before_the_admins_words_is_not_published() -> None:
    assert published(BEHIND_TOOLS, *TOLD) == "<Be kind to all."
    assert published(IN_THE_LAST, TOLD[0]) == "[Be kind to all."
    assert "now" not in published(BEHIND_TOOLS, *TOLD, tools=(NOW,))
    assert "secret" not in published(IN_THE_LAST, *TOLD)
