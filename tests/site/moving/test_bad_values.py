"""What SQLite keeps and PostgreSQL does not is made fit and counted; what cannot be ends the
move with nothing done."""

from __future__ import annotations

import psycopg
import pytest

from chatsite.supervisor.trouble import Trouble
from tests.site.moving.conftest import Moving
from tests.site.moving.old import Old
from tests.site.moving.test_moving import tables

TITLES = {
    "a\0b 你好": "a\ufffdb 你好",
    "长" * 300: "长" * 200,
    "\ufeff👩\u200d🚀 '\\ \n\t": "\ufeff👩\u200d🚀 '\\ \n\t",
}
# As the file has it, and as PostgreSQL shows it.
SETTINGS = {
    '{"a": "x\\u0000y", "k\\u0000": 1}': '{"a": "x\ufffdy", "k\ufffd": 1}',
    '{"a": "x\\ud800y"}': '{"a": "x\ufffdy"}',
    '{"a": "\\\\u0000"}': '{"a": "\\\\u0000"}',
    '{"a": "\\ud83d\\ude00"}': '{"a": "😀"}',
    '{"a": [NaN, Infinity, 1]}': '{"a": [null, null, 1]}',
    '{"b": 12345678901234567890123, "a": 1e-7}': '{"a": 0.0000001, "b": 12345678901234567890123}',
    "null": "null",
    '"text"': '"text"',
    "no JSON": '"no JSON"',
}


def test_it_works(old: Old, target: str, moving: Moving) -> None:
    with old.changing() as source:
        source.execute("PRAGMA ignore_check_constraints = ON")
        rows = source.execute("SELECT id FROM chat_conversation").fetchall()
        keys = [row[0] for row in rows]
        for pk, title in zip(keys, TITLES, strict=False):
            source.execute("UPDATE chat_conversation SET title = ? WHERE id = ?", (title, pk))
        for pk, value in zip(keys, SETTINGS, strict=False):
            source.execute("UPDATE chat_conversation SET settings = ? WHERE id = ?", (value, pk))
        source.execute(
            "UPDATE chat_conversation SET model = CAST(X'61ff62' AS TEXT) WHERE id = ?", (keys[0],)
        )
    lines = {line.table: line for line in moving(old, target)}
    # Two titles and three settings; bytes that are no text are lost before anybody counts.
    assert lines["chat_conversation"].source.mended == 5
    assert lines["chat_message"].source.mended == 0
    with psycopg.connect(target) as connection:
        query = b"SELECT id, title, settings::text, model FROM chat_conversation"
        found = {row[0].hex: row[1:] for row in connection.execute(query)}
    assert [found[pk][0] for pk in keys[: len(TITLES)]] == list(TITLES.values())
    assert [found[pk][1] for pk in keys[: len(SETTINGS)]] == list(SETTINGS.values())
    assert found[keys[0]][2] == "a\ufffdb"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE accounts_user SET session_epoch = 99999999999 WHERE username = 'alice'",
        "UPDATE chat_message SET parent_id = 987654321 WHERE id = 5",
        "UPDATE chat_conversation SET updated = 'yesterday'",
    ],
)
def test_what_cannot_be_kept_leaves_nothing(
    old: Old, target: str, moving: Moving, damage: str
) -> None:
    with old.changing() as source:
        source.execute("PRAGMA ignore_check_constraints = ON")
        source.execute(damage)
    before = old.digest
    with pytest.raises(Trouble) as caught:
        moving(old, target)
    assert caught.value.kind == "broken"
    assert "as it was" in str(caught.value)
    assert tables(target) == 0
    assert old.digest == before
