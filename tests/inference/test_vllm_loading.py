"""Why vLLM could not load a model, out of what it says; and with which arguments it is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inference.contract import ModelSpec
from inference.engines.base import Setup
from inference.engines.vllm import arguments
from inference.engines.vllm.arguments import HABITS, WORKER, environ, jobs
from inference.engines.vllm.loading import reason

SAID = [
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "memory_short"),
    ("Free memory on device cuda:0 (3.2/24 GiB) on startup is less than desired GPU memory "
     "utilization (0.9, 21.6 GiB).", "memory_short"),
    ("No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
     "memory_short"),
    ("To serve at least one request with the models's max seq len (8192), (1 GiB KV cache is "
     "needed, which is larger than the available KV cache memory (0.2 GiB).", "memory_short"),
    ("Engine core initialization failed. Failed core proc(s): {'EngineCore': -9}", "memory_short"),
    ("Model architectures ['OddForCausalLM'] are not supported for now.", "model_unsupported"),
    ("Total number of attention heads (9) must be divisible by tensor parallel size (2).",
     "settings_refused"),
    ("User-specified max_model_len (99999) is greater than the derived max_model_len",
     "settings_refused"),
    ("Something else altogether.", "model_load_failed"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "kind"), SAID)
def test_it_works(said: str, kind: str) -> None:
    assert reason(RuntimeError("Engine core initialization failed."), f"x\n{said}\ny").kind == kind
    assert reason(ValueError(said), "").kind == kind


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "vllm_on_processor", lambda: True)


def chosen(setup: Setup = Setup(), **settings: Any) -> dict[str, Any]:  # noqa: B008
    spec = ModelSpec("m", "vllm", {}, settings)
    return arguments.arguments(Path("/models/m"), spec, setup)


@pytest.mark.usefixtures("processor")
def test_the_plan_is_followed() -> None:
    told = chosen(Setup(slots=8, context_length=2048, kv_bytes=99))
    assert (told["max_num_seqs"], told["max_model_len"]) == (10, 2048)
    assert told["kv_cache_memory_bytes"] == 99
    assert told["enforce_eager"] is True
    assert told["max_num_batched_tokens"] == 512
    assert (told["logits_processors"], told["worker_cls"]) == ([HABITS], WORKER)


@pytest.mark.usefixtures("processor")
def test_a_step_has_room_for_everybody() -> None:
    assert chosen(Setup(slots=800))["max_num_batched_tokens"] == 1000
    assert chosen(max_num_batched_tokens=64)["max_num_batched_tokens"] == 64


def test_code_beside_weights_is_never_run() -> None:
    told = chosen(trust_remote_code=True, load_format="pt", model="evil/one")
    assert told["trust_remote_code"] is False
    assert (told["model"], told["load_format"]) == ("/models/m", "safetensors")


def test_on_cards_what_is_not_written_for_them_is_left_out() -> None:
    told = chosen(tensor_parallel_size=2, data_parallel_size=1, gpu_memory_utilization=0.5)
    assert not {"logits_processors", "worker_cls", "max_num_batched_tokens"} & told.keys()
    assert (told["tensor_parallel_size"], told["gpu_memory_utilization"]) == (2, 0.5)
    assert "data_parallel_size" not in told
    assert (told["max_model_len"], told["enforce_eager"]) == (-1, False)


@pytest.mark.parametrize("odd", [0, -1, True, "4", 2.5, None])
def test_a_setting_that_is_no_sensible_value_is_left_out(odd: Any) -> None:
    told = chosen(tensor_parallel_size=odd, context_length=odd, dtype=odd, enforce_eager=5)
    assert "tensor_parallel_size" not in told
    assert "dtype" not in told
    assert told["max_model_len"] == -1
    assert chosen(gpu_memory_utilization=odd)["gpu_memory_utilization"] in {0.9, 1.0}


def test_nobody_outside_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    told = environ(True)
    assert (told["HF_HUB_OFFLINE"], told["VLLM_NO_USAGE_STATS"]) == ("1", "1")
    assert told["VLLM_HOST_IP"] == "127.0.0.1"
    assert told["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    assert environ(True)["VLLM_ENABLE_V1_MULTIPROCESSING"] == "1"


def test_some_seats_are_for_those_who_have_none() -> None:
    assert [jobs(slots) for slots in (1, 4, 16, 32)] == [2, 5, 20, 40]
