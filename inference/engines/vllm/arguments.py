"""How vLLM is started for a model: its arguments and its environment, from the plan and the admin's
settings. Imports nothing of vLLM: its environment has to stand before that."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference.contract import ModelSpec
from inference.engines.base import Setup
from inference.hardware import vllm_on_processor

# Our parts inside vLLM on a processor, as it looks them up.
HABITS = "inference.engines.vllm.processor:Habits"
WORKER = "inference.engines.vllm.worker.Worker"
# Answers at once where nobody planned.
SLOTS = 32
# Each token's likeliest ones that may be asked for.
LOGPROBS = 20
# Of the graphics memory, what vLLM takes where the admin says nothing.
SHARE = 0.9
# Tokens of one step on a processor, which computes no faster with more: with vLLM's 2,048 a large
# model's first long prompt would look like an engine that hangs, and everybody would wait for it.
STEP = 512
DTYPES = {"auto", "bfloat16", "float16", "float32"}
# Ray: where a model spans machines.
BACKENDS = {"mp", "ray"}
SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")


def environ(on_cpu: bool) -> dict[str, str]:
    """What must stand in the environment before vLLM is imported, also for its own children."""
    told = {
        # Nothing is asked of or told to anybody outside.
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "DO_NOT_TRACK": "1",
        # What strangers offer as plug-ins of vLLM is not loaded.
        "VLLM_PLUGINS": "",
        "VLLM_ALLOW_INSECURE_SERIALIZATION": "0",
        "VLLM_LOOPBACK_IP": "127.0.0.1",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "TOKENIZERS_PARALLELISM": "false",
    }
    # Its processes speak with each other on this machine alone, as few of them as it can do with;
    # where a model spans machines, an admin says otherwise.
    usual = {"VLLM_HOST_IP": "127.0.0.1"}
    if on_cpu:
        usual["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    return told | {name: os.environ.get(name, value) for name, value in usual.items()}


def has_habits() -> bool:
    """Whether vLLM takes our part of the sampling: with graphics cards it computes by another
    runner, for which it is not written."""
    return vllm_on_processor()


def slots(spec: ModelSpec, setup: Setup) -> int:
    """Answers at once for anybody."""
    return setup.slots or _size(spec.settings.get("slots")) or SLOTS


def jobs(slots: int) -> int:
    """Answers that are computed at once: a few seats beyond the slots are kept for users who have
    less than their share, so that they need not wait until somebody ends."""
    return slots + max(1, slots // 4)


def arguments(path: Path, spec: ModelSpec, setup: Setup) -> dict[str, Any]:
    """The engine's arguments; what a setting says that is no sensible value is left out."""
    settings = spec.settings
    return {
        "model": str(path),
        "tokenizer": str(path),
        "served_model_name": spec.name,
        # Code that lies beside weights is never run (R5), and only safetensors are read.
        "trust_remote_code": False,
        "load_format": "safetensors",
        "tokenizer_mode": "hf",
        "max_num_seqs": jobs(slots(spec, setup)),
        "max_logprobs": LOGPROBS,
        "enable_prefix_caching": True,
        # Equal hashes mean equal tokens (R17).
        "prefix_caching_hash_algo": "sha256",
        "scheduling_policy": "priority",
        "enable_log_requests": False,
        "disable_log_stats": True,
        "language_model_only": True,
        "structured_outputs_config": {"backend": "xgrammar"},
        **({"logits_processors": [HABITS], "worker_cls": WORKER} if has_habits() else {}),
        **_memory(settings, setup),
        **_step(settings, jobs(slots(spec, setup))),
        **_parallel(settings),
        **_kernels(settings),
    }


def _memory(settings: Mapping[str, Any], setup: Setup) -> dict[str, Any]:
    context = setup.context_length or _size(settings.get("context_length"))
    # -1: as long as the model was trained for, or as what is free allows.
    chosen: dict[str, Any] = {"max_model_len": context or -1}
    if cells := setup.kv_bytes or _size(settings.get("kv_cache_bytes")):
        chosen["kv_cache_memory_bytes"] = cells
    share = settings.get("gpu_memory_utilization")
    if not isinstance(share, int | float) or not 0 < share <= 1:
        share = SHARE
    chosen["gpu_memory_utilization"] = float(share)
    return chosen


def _step(settings: Mapping[str, Any], seats: int) -> dict[str, Any]:
    usual = max(STEP, seats) if vllm_on_processor() else 0
    batched = _size(settings.get("max_num_batched_tokens")) or usual
    return {"max_num_batched_tokens": batched} if batched else {}


def _parallel(settings: Mapping[str, Any]) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        name: size for name in SIZES if (size := _size(settings.get(name))) > 1
    }
    if settings.get("distributed_executor_backend") in BACKENDS:
        chosen["distributed_executor_backend"] = settings["distributed_executor_backend"]
    return chosen


def _kernels(settings: Mapping[str, Any]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if settings.get("dtype") in DTYPES:
        chosen["dtype"] = settings["dtype"]
    if isinstance(method := settings.get("quantization"), str) and method:
        chosen["quantization"] = method
    # Compiling takes over a minute at each start on a processor and brings nothing there.
    eager = settings.get("enforce_eager")
    chosen["enforce_eager"] = eager if isinstance(eager, bool) else vllm_on_processor()
    return chosen


def _size(value: Any) -> int:
    """A number above zero; 0 for everything else."""
    return value if type(value) is int and value > 0 else 0
