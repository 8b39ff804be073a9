"""Whatever a worker can say that went wrong has words for the admin, with the next step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chatsite.catalogue import troubles
from inference.library.store import REASONS

ROOM = Path(__file__).resolve().parents[3] / "inference" / "library"
SAID = re.compile(r"""LibraryError\(\s*"([a-z_]+)"|"kind": "([a-z_]+)"|kind = "([a-z_]+)\"""")
# Faults of our own; an admin can do nothing but try again. A process that is busy is waited for.
OURS = {"unexpected", "unknown_errand", "unknown_question", "busy", "refused"}
# With figures in their words.
FIGURES = {"no_space", "too_large"}


def kinds() -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in ROOM.glob("*.py")]
    found = {name for text in texts for match in SAID.findall(text) for name in match if name}
    return (found | set(REASONS.values())) - OURS


def test_it_works() -> None:
    assert {"gated", "missing", "wrong_hash", "no_space", "bad_header", "crashed"} <= kinds()
    assert kinds() - troubles.SENTENCES.keys() - FIGURES == set()


@pytest.mark.parametrize("error", [None, {}])
def test_nothing_went_wrong(error: dict[str, str] | None) -> None:
    assert troubles.explain(error) == ""


def test_figures_and_names_are_told() -> None:
    assert "1.9" in troubles.explain({"kind": "no_space", "needed": 2e9, "free": 1e9})
    assert "40 seconds" in troubles.explain({"kind": "rate_limited", "seconds": 40})
    assert "(tiny.gguf)" in troubles.explain({"kind": "wrong_hash", "file": "tiny.gguf"})
    told = troubles.explain({"kind": "too_large", "needed": 8e9, "free": 1e9})
    assert "7.5" in told


def test_what_nobody_knows_is_not_shown_raw() -> None:
    told = troubles.explain({"kind": "<script>", "file": "x"})
    assert told.startswith("Something went wrong")
    assert "script" not in told
