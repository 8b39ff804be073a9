"""The curated list: it is whole, it says where it was read, and it is found in two languages."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from django.utils import translation

from chatsite.catalogue import curated, finding
from chatsite.catalogue.actions import PACKAGE
from chatsite.catalogue.curated import Entry, Text
from chatsite.catalogue.finding import Filters
from chatsite.catalogue.models import Model

CHINESE = re.compile(r"[\u4e00-\u9fff]")
REPO = re.compile(r"[\w.-]+/[\w.-]+")
SIZE = re.compile(r"\d+(\.\d+)? [MG]i?B")
FIELDS = {"n_layers", "n_heads", "n_kv_heads", "head_dim", "hidden", "vocab"}


def names(entries: list[Entry]) -> list[str]:
    return [entry.name for entry in entries]


def test_it_works() -> None:
    qwen = curated.find("qwen/qwen3-8b-gguf")
    assert qwen is not None
    assert (qwen.name, str(qwen.publisher), qwen.licence) == (
        "Qwen3 8B",
        "Qwen (Alibaba)",
        "apache-2.0",
    )
    assert [offer.quant for offer in qwen.offers] == ["Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"]
    assert (qwen.shapes.layers, qwen.shapes.head_count_kv) == (36, (8,) * 36)
    assert names(finding.search("qwen3 8b"))[0] == "Qwen3 8B"


def test_every_kind_and_the_starter_is_there() -> None:
    entries = curated.entries()
    assert len(entries) == 80
    assert {entry.kind for entry in entries} == set(curated.words("kinds"))
    starter = curated.find(PACKAGE)
    assert starter is not None
    assert (starter.repo, starter.offers[0].exact) == ("", True)


def test_each_repository_is_there_once() -> None:
    keys = [entry.key.casefold() for entry in curated.entries()]
    assert len(set(keys)) == len(keys)
    assert all(REPO.fullmatch(entry.repo) for entry in curated.entries() if not entry.package)


@pytest.mark.parametrize("entry", curated.entries(), ids=lambda entry: entry.key)
def test_an_entry_is_whole(entry: Entry) -> None:
    assert entry.sources
    assert entry.offers
    assert set(entry.strengths) <= set(curated.words("strengths"))
    assert set(entry.languages) <= set(curated.words("languages"))
    assert entry.language_count >= len(entry.languages)
    assert re.fullmatch(r"(20\d\d-\d\d)?", entry.released)
    assert re.fullmatch(r"(20\d\d-\d\d(-\d\d)?)?", entry.files_as_of)
    for offer in (*entry.offers, *entry.projectors):
        for path in offer.files:
            place = PurePosixPath(path)
            assert place.suffix == f".{entry.format}", path
            assert not place.is_absolute()
            assert ".." not in place.parts
    quants = [offer.quant for offer in entry.offers]
    assert len(set(quants)) == len(quants)


@pytest.mark.parametrize("entry", curated.entries(), ids=lambda entry: entry.key)
def test_a_description_is_one_line_in_both_languages(entry: Entry) -> None:
    text = entry.description
    assert CHINESE.search(text.chinese)
    assert not CHINESE.search(text.english)
    assert text.chinese.endswith("。")
    assert text.english.endswith(".")
    for words in (text.english, text.chinese):
        assert "\n" not in words
        assert 5 < len(words) <= 130


def test_a_split_file_has_all_its_parts_in_order() -> None:
    split = [offer for entry in curated.entries() for offer in entry.offers if len(offer.files) > 1]
    assert split
    for offer in split:
        found = [re.search(r"-(\d+)-of-(\d+)\.\w+$", path) for path in offer.files]
        numbers = [(int(part[1]), int(part[2])) for part in found if part]
        assert numbers == [(n, len(offer.files)) for n in range(1, len(offer.files) + 1)] or (
            # Some makers count from 0.
            numbers == [(n, len(offer.files) - 1) for n in range(len(offer.files))]
        )


def test_sizes_are_as_they_were_read() -> None:
    """Whole bytes, or the text with its unit: nothing that looks more exact than it is."""
    rows = json.loads(curated.FILE.read_text())["models"]
    variants = [each for row in rows for each in row["variants"]]
    told = [size for each in variants for size in [*each["files"].values(), each.get("size")]]
    told += [size for row in rows for size in row.get("projectors", {}).values()]
    assert all(isinstance(size, int) or SIZE.fullmatch(size) for size in told if size is not None)
    offers = {offer.files[0]: offer for entry in curated.entries() for offer in entry.offers}
    whole = offers["qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf"]
    assert (whole.size, whole.exact) == (4683073632, True)
    rounded = offers["qwen2.5-7b-instruct-q8_0-00001-of-00003.gguf"]
    assert (rounded.size, rounded.exact) == (8_100_000_000, False)
    unknown = offers["MiniCPM5-1B-Q8_0.gguf"]
    assert (unknown.size, unknown.exact) == (0, False)


def test_of_quantizations_more_bits_are_more_bytes() -> None:
    """A wrong unit, or a size in the wrong line."""
    for entry in curated.entries():
        sizes = {offer.quant: offer.size for offer in entry.offers if offer.size}
        if "Q4_K_M" in sizes and "Q8_0" in sizes:
            assert 1.05 < sizes["Q8_0"] / sizes["Q4_K_M"] < 2.1, entry.key
        weights = entry.shapes.parameters
        for quant, bits in (("Q4_K_M", (3.5, 9)), ("Q8_0", (6.5, 11))):
            # Wide: of the smallest a large part is the vocabulary, in other types than the name
            # says, and what reads images is counted with some and lies in a file of its own.
            if quant in sizes and weights:
                assert bits[0] < sizes[quant] * 8 / weights < bits[1], (entry.key, quant)


def test_shapes_name_what_was_read_and_nothing_else() -> None:
    rows = json.loads(curated.FILE.read_text())["models"]
    assert all(set(row["shapes"]) == FIELDS for row in rows)
    unknown = curated.find("mistralai/Ministral-3-8B-Instruct-2512-GGUF")
    assert unknown is not None
    assert (unknown.shapes.layers, unknown.shapes.head_count_kv, unknown.shapes.key_length) == (
        0,
        (),
        0,
    )


def test_a_mixture_of_experts_has_the_active_parameters_only_where_they_are_known() -> None:
    shapes = {entry.repo: entry.shapes for entry in curated.entries()}
    assert shapes["Qwen/Qwen3-30B-A3B-GGUF"].active_parameters == 3_000_000_000
    assert shapes["ggml-org/gpt-oss-20b-GGUF"].active_parameters == 0
    dense = shapes["Qwen/Qwen3-8B-GGUF"]
    assert dense.active_parameters == dense.parameters


def test_the_reader_gets_words_in_the_own_language() -> None:
    entry = curated.find("Qwen/Qwen3-8B-GGUF")
    assert entry is not None
    with translation.override("zh-hans"):
        assert str(entry.kind_text) == "对话"
        assert str(entry.publisher) == "通义千问（阿里巴巴）"
    with translation.override("en"):
        assert str(entry.kind_text) == "Chat"
        assert [str(text) for text in entry.language_texts] == ["Chinese", "English"]


def test_a_model_that_came_from_the_list_is_described_in_the_reader_s_language() -> None:
    entry = curated.find("Qwen/Qwen3-8B-GGUF")
    assert entry is not None
    listed = Model(name="qwen3-8b", description=entry.description.english)
    own = Model(name="own", description="For accounting.")
    with translation.override("zh-hans"):
        assert listed.about == entry.description.chinese
        assert own.about == "For accounting."
    with translation.override("en"):
        assert listed.about == entry.description.english


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("llama 3.1", "Llama 3.1 8B Instruct"),
        ("LLAMA", "Llama 3.1 8B Instruct"),
        ("deepseek-r1 llama", "DeepSeek R1 Distill Llama 8B"),
        ("gpt-oss 120b", "gpt-oss 120B"),
        ("unsloth/gemma-3-27b-it-GGUF", "Gemma 3 27B"),
        ("ｑｗｅｎ３ ３２ｂ", "Qwen3 32B"),
        ("coding", "Qwen2.5 Coder 7B Instruct"),
        ("编程", "Qwen2.5 Coder 7B Instruct"),
        ("中文编程", "Qwen2.5 Coder 7B Instruct"),
        ("qwen编程", "Qwen2.5 Coder 7B Instruct"),
        ("谷歌 看图", "Gemma 3 4B"),
        ("搜索 英文", "BGE small en v1.5"),
        ("japanese tools", "Ministral 3 3B Instruct 2512"),
        ("日语 工具", "Ministral 3 3B Instruct 2512"),
        ("llama3.3", "Llama 3.3 70B Instruct"),
    ],
)
def test_words_in_both_languages_find_it(query: str, found: str) -> None:
    assert names(finding.search(query))[0] == found


@pytest.mark.parametrize("query", ["8b", "QWEN", "mit"])
def test_a_word_is_found_at_its_beginning_only(query: str) -> None:
    """8B is not 18B, and whoever looks for MIT does not mean GPT-limits."""
    found = finding.search(query)
    assert found
    texts = [f" {e.name} {e.repo} {e.base} {e.licence} {e.publisher.english} " for e in found]
    edge = re.compile(rf"[\W_]{query}", re.IGNORECASE)
    assert [text for text in texts if not edge.search(text)] == []


@pytest.mark.parametrize("query", ["zzz", "qwen zzz", "大模型公司", "🙂 zzz", "x" * 10_000])
def test_nothing_is_found_by_words_of_nothing(query: str) -> None:
    assert finding.search(query) == []


@pytest.mark.parametrize("query", ["", "   ", "///", "🙂", "\0"])
def test_without_words_everything_is_there_in_the_order_of_the_list(query: str) -> None:
    assert finding.search(query) == list(curated.entries())


def test_filters_narrow() -> None:
    for filters, field in [
        (Filters(kind="vision"), "kind"),
        (Filters(format="safetensors"), "format"),
        (Filters(family="Gemma 3"), "family"),
    ]:
        found = finding.search(filters=filters)
        assert found
        assert {getattr(entry, field) for entry in found} == {getattr(filters, field)}
    chinese = finding.search("qwen", Filters(kind="coding", language="zh", strength="code"))
    assert names(chinese) == ["Qwen2.5 Coder 7B Instruct", "Qwen2.5 Coder 14B Instruct"]
    assert finding.search(filters=Filters(kind="nonsense")) == []


@pytest.fixture
def three_hundred() -> list[Entry]:
    entries = curated.entries()
    return [
        replace(entries[n % len(entries)], repo=f"somebody/model-{n}", name=f"Model {n}")
        for n in range(300)
    ]


def test_three_hundred_entries_are_searched_at_once(three_hundred: list[Entry]) -> None:
    finding.search("chinese", among=three_hundred)
    began = time.perf_counter()
    for query in ("chinese tools", "中文编程", "model 29", "zzz"):
        finding.search(query, Filters(format="gguf"), three_hundred)
    assert (time.perf_counter() - began) / 4 < 0.05
    assert names(finding.search("model 299", among=three_hundred)) == ["Model 299"]


def test_text_is_its_reader_s() -> None:
    with translation.override(None):
        assert str(Text("Yes", "是")) == "Yes"
