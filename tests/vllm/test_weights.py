"""The safetensors that the tests use are the starter model: the same words for the same texts as
llama.cpp reads from its GGUF, and the same template."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from inference import gguf
from inference.engines.weights import locate
from tests.vllm.environment import ROOT, site_python
from tests.vllm.weights import SOURCE

TEXTS = [
    "Hello, Bob!",
    "In 2024 there were 1234567 of them, 3.14159 each.",
    "12 12 007 1e10 0x1F v2.13.0",
    "  two  spaces\n\nand lines\t1\n",
    "<|im_start|>user\nWhat is 12*34?<|im_end|>\n",
    "你好，世界 2026 年",
]
# llama.cpp is in the other environment.
ASK = """
import json, sys
import llama_cpp
path, texts = sys.argv[1], json.loads(sys.argv[2])
llm = llama_cpp.Llama(path, vocab_only=True, verbose=False)
print(json.dumps([llm.tokenize(text.encode(), add_bos=False, special=True) for text in texts]))
"""


def test_it_works(safetensors: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(safetensors))
    command = [str(site_python()), "-c", ASK, str(locate(SOURCE)), json.dumps(TEXTS)]
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    expected = json.loads(asked.stdout)
    assert [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS] == expected


@pytest.mark.parametrize("digits", ["2024", "007"])
def test_each_digit_is_a_word(safetensors: Path, digits: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(safetensors))
    assert len(tokenizer.encode(digits, add_special_tokens=False)) == len(digits)


def test_the_template_is_kept(safetensors: Path) -> None:
    template = (safetensors / "chat_template.jinja").read_text()
    assert template == gguf.read(locate(SOURCE)).chat_template
