"""Pull and delete are for an admin with a key of his own; being on the machine is not enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.catalogue.models import Model
from tests.site.ollama.conftest import send

Change = Callable[[str], Any]


@pytest.fixture
def admin_key(alice: User) -> str:
    return keys.make_key(alice)[1]


def pull(key: str) -> Any:
    return send(key, "pull", {"model": "echo", "stream": False})


def delete(key: str) -> Any:
    return send(key, "delete", {"model": "echo"}, "DELETE")


def test_it_works(admin_key: str) -> None:
    lines = send(admin_key, "pull", {"model": "echo:latest"}).content.splitlines()
    assert json.loads(lines[-1]) == {"status": "success"}
    assert pull(admin_key).json() == {"status": "success"}
    answer = send(admin_key, "delete", {"model": "echo:latest"}, "DELETE")
    assert answer.status_code == 200
    assert not Model.objects.filter(name="echo").exists()
    again = delete(admin_key)
    assert (again.status_code, again.json()) == (404, {"error": "model 'echo' not found"})


@pytest.mark.parametrize("change", [pull, delete])
def test_bob_is_refused(key: str, change: Change) -> None:
    assert change(key).status_code == 403
    assert Model.objects.filter(name="echo").exists()


@pytest.mark.parametrize("change", [pull, delete])
def test_a_demoted_admin_is_refused_at_the_next_call(
    alice: User, admin_key: str, change: Change
) -> None:
    alice.is_staff = False
    alice.save()
    assert change(admin_key).status_code == 403


@pytest.mark.parametrize("change", [pull, delete])
def test_r13_an_admins_key_for_some_models_changes_none(alice: User, change: Change) -> None:
    assert change(keys.make_key(alice, allowed=["echo"])[1]).status_code == 403


@pytest.mark.parametrize(("method", "path"), [("POST", "pull"), ("DELETE", "delete")])
def test_the_owner_of_this_machine_needs_a_key_for_it(
    alice: User, settings: Settings, method: str, path: str
) -> None:
    settings.CHATSITE_LOCAL_OWNER = True
    headers = {"Host": "127.0.0.1:8000"}
    data = json.dumps({"model": "echo"})
    answer = Client().generic(method, f"/api/{path}", data, "application/json", headers=headers)
    assert answer.status_code == 403
    assert "key" in answer.json()["error"]
    assert Model.objects.filter(name="echo").exists()


def test_what_is_not_here_says_what_to_do(admin_key: str) -> None:
    answer = send(admin_key, "pull", {"model": "llama3.2"})
    assert answer.status_code == 404
    assert "owner/name:Q4_K_M" in answer.json()["error"]
    assert not Model.objects.filter(name__startswith="llama").exists()
