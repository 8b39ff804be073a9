"""Which files of a repository belong together."""

from __future__ import annotations

import pytest

from inference.library import variants
from inference.library.nouns import FileRef


def files(*paths: str) -> list[FileRef]:
    return [FileRef(path, 10 * (number + 1)) for number, path in enumerate(paths)]


@pytest.mark.parametrize(
    ("path", "quant"),
    [
        ("Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("qwen2.5-0.5b-instruct-q4_k_m.gguf", "Q4_K_M"),
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("gemma-3-1b-it-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("UD-IQ1_S/DeepSeek-R1-UD-IQ1_S-00001-of-00003.gguf", "UD-IQ1_S"),
        ("model-IQ4_XS.gguf", "IQ4_XS"),
        ("model-IQ4_NL.gguf", "IQ4_NL"),
        ("gpt-oss-20b-MXFP4.gguf", "MXFP4"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("ggml-model-f16.gguf", "F16"),
        ("model.BF16.gguf", "BF16"),
        ("model-TQ1_0.gguf", "TQ1_0"),
        ("Q8_0/model.gguf", "Q8_0"),
        ("Phi-3-mini-4k-instruct-q4.gguf", ""),
        ("bge-small-en-v1.5-q8_0.gguf", "Q8_0"),
        ("model-Q6_K_L.gguf", "Q6_K_L"),
        ("model-Q4_0_4_8.gguf", "Q4_0_4_8"),
        ("model.gguf", ""),
    ],
)
def test_the_quantization_by_the_name(path: str, quant: str) -> None:
    assert variants.quant(path) == quant


def test_quantizations_the_small_ones_first() -> None:
    given = [FileRef("m-Q8_0.gguf", 80), FileRef("m-Q4_K_M.gguf", 40), FileRef("README.md", 1)]
    found, aside = variants.of(given)
    assert [(each.quant, each.bytes) for each in found] == [("Q4_K_M", 40), ("Q8_0", 80)]
    assert aside == []
    assert variants.stem(found[0]) == variants.stem(found[1])


def test_parts_are_one_and_in_their_order() -> None:
    given = files("m-Q4_0-00002-of-00002.gguf", "m-Q4_0-00001-of-00002.gguf")
    (found,) = variants.of(given)[0]
    assert [each.path for each in found.files] == sorted(each.path for each in given)
    assert found.quant == "Q4_0"


def test_a_part_that_is_missing() -> None:
    assert variants.of(files("m-Q4_0-00001-of-00003.gguf", "m-Q4_0-00003-of-00003.gguf"))[0] == []


def test_what_stands_aside() -> None:
    given = files("m-Q4_0.gguf", "mmproj-m-f16.gguf", "m.imatrix.gguf")
    found, aside = variants.of(given)
    assert [each.files[0].path for each in found] == ["m-Q4_0.gguf"]
    assert [each.path for each in aside] == ["mmproj-m-f16.gguf"]


def test_several_models_in_one_repository() -> None:
    found, _ = variants.of(files("a-1b-Q4_0.gguf", "b-2b-Q4_0.gguf"))
    assert len({variants.stem(each) for each in found}) == 2


def test_safetensors_with_what_their_engine_reads() -> None:
    given = files(
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "config.json", "tokenizer.json", "tokenizer.model",
        "chat_template.jinja", "LICENSE", "README.md", "merges.txt", "consolidated.safetensors",
        "pytorch_model.bin", "modeling_own.py", "original/consolidated.00.pth", "run.sh",
        "onnx/model.onnx", "adapter_model.safetensors",
    )  # fmt: skip
    (found,) = variants.of(given)[0]
    assert found.format == "safetensors"
    paths = [each.path for each in found.files]
    assert paths[:2] == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert set(paths[2:]) == {
        "model.safetensors.index.json", "config.json", "tokenizer.json", "tokenizer.model",
        "chat_template.jinja", "LICENSE", "README.md", "merges.txt",
    }  # fmt: skip


def test_safetensors_without_a_config_are_no_model() -> None:
    assert variants.of(files("lora.safetensors"))[0] == []


def test_consolidated_ones_alone() -> None:
    (found,) = variants.of(files("consolidated.safetensors", "config.json"))[0]
    assert found.files[0].path == "consolidated.safetensors"
