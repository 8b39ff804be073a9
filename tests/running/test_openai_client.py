"""The official `openai` client against the running product: whole answers, streams, what is told of
them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from openai import OpenAI
from openai.types import Completion
from openai.types.chat import ChatCompletionChunk

from tests.live import Site
from tests.running.asking import ENDLESS, HELLO, said, wait_idle
from tests.running.talking import STARTER

pytestmark = pytest.mark.live
SHORT: dict[str, Any] = {"model": STARTER, "messages": HELLO, "max_tokens": 12, "seed": 7}
SOUP: dict[str, Any] = {"type": "object", "properties": {"soup": {"enum": ["red", "green"]}}}


def test_it_works(client: OpenAI) -> None:
    assert {model.id for model in client.models.list()} >= {STARTER, "echo"}
    assert client.models.retrieve(STARTER).owned_by == "chatsite"
    whole = client.chat.completions.create(**SHORT)
    assert whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage
    assert whole.usage.completion_tokens == 12
    assert whole.usage.total_tokens == 12 + whole.usage.prompt_tokens
    assert whole._request_id


def test_the_same_seed_says_the_same(client: OpenAI) -> None:
    texts = [
        client.chat.completions.create(**{**SHORT, "seed": seed}).choices[0].message.content
        for seed in (7, 7, -1, 2**61, 0, 0)
    ]
    assert texts[0] == texts[1]
    assert texts[4] == texts[5]
    assert len(set(texts)) == 4


def test_a_stream_says_the_same_in_pieces(client: OpenAI) -> None:
    whole = client.chat.completions.create(**SHORT)
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    chunks: list[ChatCompletionChunk] = list(client.chat.completions.create(**SHORT, **options))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len(chunks) > 4
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
    assert chunks[-1].usage
    assert whole.usage
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert len({chunk.id for chunk in chunks}) == 1


def test_choices_have_seeds_of_their_own(client: OpenAI) -> None:
    # One that is over early would be shorter.
    options = {**SHORT, "n": 3, "seed": 1, "extra_body": {"ignore_eos": True}}
    answer = client.chat.completions.create(**options)
    texts = [choice.message.content for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert answer.usage
    assert answer.usage.completion_tokens == 36
    streamed = ["", "", ""]
    for chunk in client.chat.completions.create(**options, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == texts


def test_log_probabilities_are_told_in_both_forms(client: OpenAI) -> None:
    asked: dict[str, Any] = {**SHORT, "temperature": 0, "logprobs": True, "top_logprobs": 3}
    whole = client.chat.completions.create(**asked).choices[0]
    assert whole.logprobs
    assert whole.logprobs.content
    assert len(whole.logprobs.content) == 12
    for token in whole.logprobs.content:
        # Greedy: the likeliest is what was taken.
        assert token.top_logprobs[0].token == token.token
        assert [each.logprob for each in token.top_logprobs] == sorted(
            (each.logprob for each in token.top_logprobs), reverse=True
        )
        assert sum(math.exp(each.logprob) for each in token.top_logprobs) <= 1.001
    text = b"".join(bytes(token.bytes or ()) for token in whole.logprobs.content).decode()
    assert text == whole.message.content
    streamed = [
        token
        for chunk in client.chat.completions.create(**asked, stream=True)
        for choice in chunk.choices
        for token in (choice.logprobs and choice.logprobs.content) or ()
    ]
    assert streamed == whole.logprobs.content


def test_json_mode_writes_json(client: OpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "soup", "schema": SOUP}}
    asked: dict[str, Any] = {"model": STARTER, "messages": said("Which soup?"), "temperature": 0}
    told = client.chat.completions.create(**asked, response_format=form).choices[0]
    assert set(json.loads(told.message.content or "")) <= {"soup"}
    plain = client.chat.completions.create(
        **asked, max_tokens=40, response_format={"type": "json_object"}
    ).choices[0]
    text = plain.message.content or ""
    assert text.lstrip().startswith("{")
    if plain.finish_reason == "stop":
        assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    ("guide", "allowed"),
    [
        ({"guided_choice": ["red", "green"]}, {"red", "green"}),
        ({"guided_regex": "(red|green) soup"}, {"red soup", "green soup"}),
        ({"guided_grammar": 'root ::= "green" | "blue"'}, {"green", "blue"}),
        ({"guided_json": {"enum": [1, 2]}}, {"1", "2"}),
        ({"structured_outputs": {"choice": ["red", "green"]}}, {"red", "green"}),
    ],
    ids=["choice", "regex", "grammar", "json", "structured"],
)
def test_the_guides_of_vllm_s_clients(
    client: OpenAI, guide: dict[str, Any], allowed: set[str]
) -> None:
    asked: dict[str, Any] = {"model": STARTER, "messages": said("Which soup do you like?")}
    answer = client.chat.completions.create(**asked, temperature=0, extra_body=guide)
    assert answer.choices[0].message.content in allowed
    text = client.completions.create(model=STARTER, prompt="I like ", extra_body=guide, seed=1)
    assert text.choices[0].text in allowed


def test_what_old_samples_send_along(client: OpenAI) -> None:
    """All parameters at once, a tool without a name and token ids of another vocabulary among
    them."""
    answer = client.chat.completions.create(
        model=STARTER,
        messages=HELLO,
        max_tokens=4,
        stop=None,
        frequency_penalty=0,
        presence_penalty=0,
        temperature=1,
        top_p=1,
        modalities=["text"],
        audio={"voice": "alloy", "format": "mp3"},
        metadata={},
        logit_bias={"15496": -100, "51561": -100},
        logprobs=False,
        n=1,
        response_format={"type": "text"},
        seed=0,
        service_tier="auto",
        tools=[{"type": "function", "function": {"name": "", "description": "", "parameters": {}}}],
        parallel_tool_calls=True,
        user="",
    )
    assert answer.choices[0].message.content
    assert answer.service_tier == "default"


def test_a_limit_beyond_the_room_is_no_error(client: OpenAI) -> None:
    """The answer ends where the room does."""
    answer = client.chat.completions.create(
        model=STARTER, messages=said("Hi"), max_tokens=10**9, stop=["e"], temperature=0
    )
    assert answer.choices[0].finish_reason == "stop"
    assert "e" not in (answer.choices[0].message.content or "")


def test_plain_completions_go_on_with_the_text(site: Site, key: str) -> None:
    # The type of a piece knows whole answers only, which have an end.
    client = OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0)
    asked: dict[str, Any] = {"model": STARTER, "prompt": ["One, two,", "A, b,"], "temperature": 0}
    with client:
        whole = client.completions.create(**asked, max_tokens=6)
        assert whole.object == "text_completion"
        assert [choice.index for choice in whole.choices] == [0, 1]
        assert "three" in whole.choices[0].text
        options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
        chunks: list[Completion] = list(client.completions.create(**asked, **options, max_tokens=6))
    texts = ["", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [choice.text for choice in whole.choices]
    assert chunks[-1].usage
    assert whole.usage
    assert whole.usage.completion_tokens == 12
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens


def test_a_reader_that_leaves_stops_the_answer(site: Site, client: OpenAI) -> None:
    wait_idle(site)
    stream = client.chat.completions.create(model=STARTER, messages=HELLO, stream=True, **ENDLESS)
    next(iter(stream))
    stream.close()
    wait_idle(site)
