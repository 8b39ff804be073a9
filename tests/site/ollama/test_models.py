"""What there is, as Ollama's clients ask: the list, one model, what is loaded."""

from __future__ import annotations

import json

import pytest
import redis

from chatsite.catalogue import actions
from chatsite.catalogue.models import Model
from inference import board
from inference.board import EngineState
from tests.site.ollama.conftest import get, send


@pytest.fixture
def starter(db: None) -> Model:
    found = actions.register_starter()
    assert found
    return found


def test_it_works(key: str, starter: Model) -> None:
    models = {model["name"]: model for model in get(key, "tags").json()["models"]}
    told = models["smollm2-135m-instruct:latest"]
    assert told["model"] == "smollm2-135m-instruct:latest"
    assert told["modified_at"].endswith("Z")
    # The command-line client shows its first twelve.
    assert len(told["digest"]) == 64
    assert told["details"]["parameter_size"] == "135M"
    assert told["details"]["quantization_level"] == "Q4_1"
    assert told["details"]["format"] == "gguf"


def test_entries_differ_by_their_digests(key: str, starter: Model) -> None:
    digests = [model["digest"] for model in get(key, "tags").json()["models"]]
    assert len(set(digests)) == 2


@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "smollm2-135m-instruct:latest"])
@pytest.mark.parametrize("field", ["model", "name"])
def test_a_model_is_shown_with_or_without_its_tag(
    key: str, starter: Model, name: str, field: str
) -> None:
    starter.system_prompt = "Be brief."
    starter.save()
    told = send(key, "show", {field: name}).json()
    info = told["model_info"]
    assert info[f"{info['general.architecture']}.context_length"] == 8192
    assert told["system"] == "Be brief."
    assert "FROM smollm2-135m-instruct:latest" in told["modelfile"]
    assert told["capabilities"] == ["completion", "tools"]


def test_an_embedding_model_says_so(key: str) -> None:
    Model.objects.create(name="bge", engine="llamacpp-embed", source={"path": "/x/bge.gguf"})
    assert send(key, "show", {"model": "bge"}).json()["capabilities"] == ["embedding"]
    for what in ("chat", "generate"):
        body = {"model": "bge", "prompt": "x", "messages": [{"role": "user", "content": "x"}]}
        answer = send(key, what, body)
        assert (answer.status_code, "bge" in answer.json()["error"]) == (400, True)
    assert send(key, "embed", {"model": "echo", "input": "x"}).status_code == 400


def test_a_disabled_model_is_not_there(key: str, starter: Model) -> None:
    starter.enabled = False
    starter.save()
    answer = send(key, "show", {"model": starter.name})
    assert answer.status_code == 404
    assert answer.json() == {"error": "model 'smollm2-135m-instruct' not found"}


def test_what_is_loaded_is_told(key: str, broker: redis.Redis) -> None:
    assert get(key, "ps").json() == {"models": []}
    for worker in ("one", "two"):
        state = EngineState(worker, "echo", "ready", memory_bytes=1000, context_length=4096)
        board.post(broker, state)
    board.post(broker, EngineState("one", "of somebody else's", "ready", memory_bytes=9))
    (told,) = get(key, "ps").json()["models"]
    assert (told["name"], told["size"], told["size_vram"]) == ("echo:latest", 2000, 0)
    assert told["context_length"] == 4096
    assert told["expires_at"] > "2100"
    shown = send(key, "show", {"model": "echo"}).json()
    assert shown["model_info"]["echo.context_length"] == 4096


def test_nothing_is_loaded_for_a_request_to_let_go(key: str) -> None:
    for keep in (0, 0.0, "0", "0s", "0m"):
        answer = send(key, "generate", {"model": "echo", "keep_alive": keep})
        told = json.loads(answer.content)
        assert (told["done"], told["done_reason"], told["response"]) == (True, "unload", ""), keep
    told = send(key, "chat", {"model": "echo", "messages": [], "keep_alive": 0}).json()
    assert (told["done_reason"], told["message"]["content"]) == ("unload", "")
