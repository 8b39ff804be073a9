"""`manage.py move`: the whole site from SQLite into PostgreSQL, all or nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from chatsite.supervisor import lock
from chatsite.supervisor.trouble import Trouble
from tests.site.moving.conftest import Moving
from tests.site.moving.old import BRANCHES, CONVERSATIONS, Old, manage

FIND = """
from chatsite.accounts.models import User
from chatsite.chat import search
for name, text in (("alice", "needle3x7"), ("alice", "针3 灯塔"), ("bob 鲍勃", "needle3x7")):
    owner = User.objects.get_by_natural_key(name)
    print(len(search.find(owner, text)))
"""
HOLD = """
import pathlib, sys
from chatsite.supervisor import lock
lock.share(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
NEW_ROWS = """
from django.apps import apps
from django.contrib.auth.models import Group
from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.chat.models import Conversation, Message
from django.utils import timezone
carol = User.objects.create_user("carol")
carol.groups.add(Group.objects.first())
talk = Conversation.objects.create(owner=carol, updated=timezone.now())
message = Message.objects.create(conversation=talk, role="user", content="x")
keys.make_key(carol)
print(message.pk, Message.objects.order_by("-pk")[1].pk)
"""


def count(target: str, query: str) -> int:
    with psycopg.connect(target) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def tables(target: str) -> int:
    return count(target, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")


def test_it_works(old: Old, target: str) -> None:
    before = old.digest
    done = old.move(target)
    assert done.returncode == 0, done.stdout + done.stderr
    messages = 2 * CONVERSATIONS * BRANCHES
    assert re.search(rf"chat_message +{messages} +{messages}  (\w{{12}})  \1", done.stdout)
    assert re.search(r"catalogue_model_groups +1 +1 ", done.stdout)
    assert "DATABASE_URL" in done.stdout
    assert str(old.database) in done.stdout
    assert "made fit" not in done.stdout
    assert old.digest == before
    assert count(target, "SELECT count(*) FROM chat_message") == messages
    assert count(target, "SELECT count(*) FROM chat_search") == messages


def test_people_find_their_own_words_afterwards(old: Old, target: str, moving: Moving) -> None:
    moving(old, target)
    found = manage(old.data, "shell", "-v", "0", "-c", FIND, DATABASE_URL=target)
    assert found.stdout.split() == ["1", "1", "0"], found.stderr


def test_what_is_made_afterwards_gets_new_numbers(old: Old, target: str, moving: Moving) -> None:
    moving(old, target)
    done = manage(old.data, "shell", "-v", "0", "-c", NEW_ROWS, DATABASE_URL=target)
    assert done.returncode == 0, done.stderr
    new, last = map(int, done.stdout.split()[-2:])
    assert new > last


def test_the_values_are_the_same(old: Old, target: str, moving: Moving) -> None:
    """Read by the databases' own means: no code of the move looks at them here."""
    moving(old, target)
    query = "SELECT id, title, created, updated FROM chat_conversation ORDER BY title LIMIT 20"
    with old.changing() as source:
        here = source.execute(query.replace("ORDER BY title", "ORDER BY title COLLATE BINARY"))
        first = {(row[0], row[1], row[2]) for row in here.fetchall()}
        settings = source.execute("SELECT count(*) FROM gateway_generation WHERE logprobs IS NULL")
        empty = settings.fetchone()[0]
    with psycopg.connect(target) as connection:
        there = connection.execute(query.encode()).fetchall()
    moved = {(row[0].hex, row[1], row[2].strftime("%Y-%m-%d %H:%M:%S.%f")) for row in there}
    assert moved == first
    query = "SELECT count(*) FROM gateway_generation WHERE logprobs IS NULL"
    assert count(target, query) == empty
    query = "SELECT count(*) FROM gateway_generation WHERE request->>'seed' = '9223372036854775807'"
    assert count(target, query) == CONVERSATIONS * BRANCHES


def test_a_site_that_was_started_once_is_still_empty(old: Old, target: str, moving: Moving) -> None:
    assert manage(old.data, "prepare", DATABASE_URL=target).returncode == 0
    moving(old, target)
    assert count(target, "SELECT count(*) FROM accounts_user") == 2


@pytest.mark.parametrize("rows", ["accounts", "conversations"])
def test_nothing_is_overwritten(old: Old, target: str, rows: str, moving: Moving) -> None:
    moving(old, target)
    if rows == "conversations":
        with psycopg.connect(target) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("DELETE FROM accounts_user")
    with pytest.raises(Trouble) as caught:
        moving(old, target)
    assert caught.value.kind == "used"
    assert count(target, "SELECT count(*) FROM chat_conversation") == CONVERSATIONS


def test_a_running_site_is_not_moved(old: Old, target: str) -> None:
    with lock.claim(old.data, "http://127.0.0.1:8000/"):
        done = old.move(target)
    assert done.returncode == 1
    assert "running already" in done.stdout
    assert tables(target) == 0


def test_a_web_process_alone_is_a_running_site(old: Old) -> None:
    command = [sys.executable, "-c", HOLD, str(old.data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as web:
        assert web.stdout is not None
        assert web.stdout.readline() == b"held\n"
        with pytest.raises(Trouble) as caught:
            lock.claim(old.data, "manage.py move")
        web.communicate()
    assert caught.value.kind == "running"


def test_the_target_is_said(old: Old) -> None:
    done = old.move("")
    assert done.returncode == 1
    assert "--to" in done.stdout
    done = old.move("", "--to", "mysql://user:secret@host/name")
    assert done.returncode == 1
    assert "secret" not in done.stdout + done.stderr


def test_a_folder_without_a_database_is_said(tmp_path: Path, target: str, moving: Moving) -> None:
    with pytest.raises(Trouble) as caught:
        moving(Old(tmp_path), target)
    assert caught.value.kind == "no_source"


def test_an_older_database_is_brought_up_to_date_first(
    old: Old, target: str, moving: Moving
) -> None:
    with old.changing() as source:
        source.execute("DELETE FROM django_migrations WHERE app = 'chat' AND name LIKE '0002%'")
    with pytest.raises(Trouble) as caught:
        moving(old, target)
    assert caught.value.kind == "old_source"
    assert tables(target) == 0


def test_a_newer_database_is_refused(old: Old, target: str, moving: Moving) -> None:
    with old.changing() as source:
        source.execute(
            "INSERT INTO django_migrations (app, name, applied) "
            "VALUES ('chat', '0999_later', '2030-01-01')"
        )
    with pytest.raises(Trouble) as caught:
        moving(old, target)
    assert caught.value.kind == "new_source"
