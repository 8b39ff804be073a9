"""How vLLM loads a model is said on the model's page, and reaches the engine as it was meant."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.test import Client

from chatsite.catalogue import loads
from chatsite.catalogue.errors import BadDefaultError
from chatsite.catalogue.models import Model
from inference.contract import ModelSpec
from inference.engines.base import Setup
from inference.engines.vllm.arguments import arguments
from tests.live import ROOT
from tests.site.catalogue.test_providers import page

pytestmark = pytest.mark.django_db(transaction=True)
TYPED = {
    "gpu_memory_utilization": "0.7",
    "tensor_parallel_size": "2",
    "pipeline_parallel_size": "3",
    "data_parallel_size": "",
    "dtype": "float16",
    "quantization": "fp8",
    "compiles": "no",
    "context_length": "4096",
    "slots": "16",
}


@pytest.fixture
def model(db: None, broker: redis.Redis) -> Model:
    settings = {"max_num_batched_tokens": 512, "data_parallel_size": 4}
    return Model.objects.create(name="big", engine="vllm", source={}, settings=settings)


def save(client: Client, model: Model, **fields: str) -> Any:
    told = {"name": model.name, "enabled": "on", **fields}
    return client.post(f"/settings/models/{model.pk}", told)


def test_it_works(alice_client: Client, model: Model) -> None:
    assert save(alice_client, model, **TYPED).status_code == 302
    model.refresh_from_db()
    assert model.settings == {
        # Not on the form, so it stays; emptied, so it goes.
        "max_num_batched_tokens": 512,
        "context_length": 4096,
        "slots": 16,
        "gpu_memory_utilization": 0.7,
        "tensor_parallel_size": 2,
        "pipeline_parallel_size": 3,
        "dtype": "float16",
        "quantization": "fp8",
        "enforce_eager": True,
    }
    text = page(alice_client, f"/settings/models/{model.pk}")
    assert "How vLLM loads it" in text
    assert 'value="0.7"' in text


def test_the_engine_understands_it(alice_client: Client, model: Model) -> None:
    save(alice_client, model, **TYPED)
    model.refresh_from_db()
    spec = ModelSpec(model.name, model.engine, {}, model.settings)
    told = arguments(ROOT, spec, Setup())
    assert (
        told.items()
        >= {
            "gpu_memory_utilization": 0.7,
            "tensor_parallel_size": 2,
            "pipeline_parallel_size": 3,
            "dtype": "float16",
            "quantization": "fp8",
            "enforce_eager": True,
            "max_model_len": 4096,
        }.items()
    )
    assert "data_parallel_size" not in told


@pytest.mark.parametrize(
    "field",
    [
        {"gpu_memory_utilization": "1.1"},
        {"gpu_memory_utilization": "nan"},
        {"tensor_parallel_size": "0"},
        {"data_parallel_size": "65"},
        {"dtype": "int3"},
        {"quantization": "../x"},
        {"compiles": "perhaps"},
    ],
    ids=str,
)
def test_what_cannot_be_is_said_beside_the_field(
    alice_client: Client, model: Model, field: dict[str, str]
) -> None:
    answer = save(alice_client, model, **field)
    assert answer.status_code == 200
    (name,) = field
    assert answer.context["form"].errors.keys() == {name}
    model.refresh_from_db()
    assert model.settings["data_parallel_size"] == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [("dtype", "int3"), ("quantization", 8), ("enforce_eager", "yes"),
     ("tensor_parallel_size", True), ("gpu_memory_utilization", float("inf"))],
)  # fmt: skip
def test_no_other_way_in(name: str, value: Any) -> None:
    with pytest.raises(BadDefaultError) as error:
        loads.check({name: value})
    assert error.value.name == name


def test_other_engines_have_no_such_fields(alice_client: Client, db: None) -> None:
    other = Model.objects.create(name="tiny", engine="echo", source={}, settings={"delay_ms": 1})
    assert "How vLLM loads it" not in page(alice_client, f"/settings/models/{other.pk}")
    save(alice_client, other, **TYPED)
    other.refresh_from_db()
    assert other.settings == {"delay_ms": 1, "context_length": 4096, "slots": 16}
