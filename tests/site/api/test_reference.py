"""The reference page: all operations and their parameters, with samples that a program can run."""

from __future__ import annotations

import json
import re
import shlex
from html import unescape
from pathlib import Path

import pytest
from django.test import Client

from chatsite.accounts.models import User
from chatsite.api import errors, operations, reference
from chatsite.api.operations import Told
from tests.site.api.conftest import post_raw

BASE = "http://chat.test:8000/v1"
MODELS = {"answers": "smol", "vectors": "vectors"}
SOURCES = Path(errors.__file__).parent
TOLD = operations.told()


def text(client: Client) -> str:
    answer = client.get("/reference/", headers={"Host": "testserver"})
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def test_it_works(bob_client: Client) -> None:
    page = text(bob_client)
    for each in TOLD:
        assert each.path in page
        assert str(each.operation.title) in page
    assert "http://testserver/v1" in page
    for parameter in ("temperature", "guided_json", "encoding_format", "return_token_strs"):
        assert f"<strong>{parameter}</strong>" in page
    assert "0 – 2" in page
    assert 'href="/settings/keys"' in page


def test_strangers_log_in_first(alice: User, client: Client) -> None:
    for path in ("/reference/", "/reference/schema.json"):
        assert client.get(path).headers["Location"].startswith("/login?next=")


def test_the_schema_is_there_for_the_same_reader(bob_client: Client) -> None:
    told = bob_client.get("/reference/schema.json").json()
    assert "/v1/embeddings" in told["paths"]


def test_its_frame_speaks_the_readers_language(bob: User, bob_client: Client) -> None:
    bob.language = "zh-hans"
    bob.save()
    page = text(bob_client)
    assert 'lang="zh-hans"' in page
    assert "temperature" in page


def test_nothing_is_fetched_from_elsewhere(bob_client: Client) -> None:
    page = text(bob_client)
    found = re.findall(r"""<(?:link|script|img|use|a)\b[^>]*?(?:href|src)=["']([^"']+)""", page)
    assert len(found) > 10
    assert not [address for address in found if not address.startswith(("/", "#", "data:"))]
    assert not re.search(r"<style|style=|<script>", page)


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.id)
def test_the_samples_are_programs(told: Told) -> None:
    samples = {s.slug: s.code for s in reference.section(told, BASE, MODELS).samples}
    assert list(samples) == ["curl", "python", "node"]
    compile(samples["python"], told.id, "exec")
    assert all(BASE in code for code in samples.values())
    words = shlex.split(samples["curl"].replace("\\\n", ""))
    assert words[:1] == ["curl"]
    if told.body:
        json.loads(words[words.index("-d") + 1])
    assert "{" not in words[1]


@pytest.mark.parametrize("told", [each for each in TOLD if each.body], ids=lambda told: told.id)
def test_what_a_sample_sends_is_well_formed(told: Told, key: str) -> None:
    """It comes as far as the model, of which there is none with this name."""
    assert told.body
    answer = post_raw(json.dumps(told.sent("smol")), key, re.sub(r"\{\w+\}", "none", told.path))
    assert answer.status_code == 404, answer.content


def test_every_error_has_its_line() -> None:
    told = {code for failure in reference.failures() for code in failure.codes}
    made = {*errors.CLIENTS, *errors.SERVERS, "context_length_exceeded"}
    for path in SOURCES.rglob("*.py"):
        made |= set(re.findall(r"ApiError\(\s*\d{3},\s*\"(\w+)\"", path.read_text()))
    assert len(made) > 20
    assert made - told == set(), "give it a line in FAILURES of chatsite/api/reference.py"


def test_an_objects_parameters_are_told_as_well() -> None:
    chat = TOLD[0]
    assert chat.name == "v1-chat-completions"
    tables = {table.name: table for table in reference.objects(chat)}
    assert {"Turn", "Tool", "ResponseFormat"} <= tables.keys()
    (role,) = [row for row in tables["Turn"].rows if row.name == "role"]
    assert role.required
    assert '"user"' in role.kinds[0]
