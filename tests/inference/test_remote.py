"""The engine for models elsewhere, against a provider that answers and fails as real ones do."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.contract import CallDelta, Job, Message, ModelSpec, Sampling, Shape
from inference.engines.base import Setup
from inference.engines.remote import RemoteEngine
from inference.remote.permit import LockedError, Permit, seal
from tests.inference.far import KEY, PLAIN, SECRET, WORDS, Answer, request, spec_of
from tests.upstream import Upstream


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSITE_SECRET_KEY", SECRET)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(key=KEY) as server:
        yield server


def load(spec: ModelSpec) -> RemoteEngine:
    engine = RemoteEngine()
    engine.load(spec, Setup(), lambda _: None)
    return engine


def run(engine: RemoteEngine, seconds: float = 10) -> Answer:
    answer, until = Answer(), time.monotonic() + seconds
    while answer.end is None:
        assert time.monotonic() < until, "it does not end"
        for event in engine.step():
            answer.take(event)
    return answer


def ask(upstream: Upstream, model: str, settings: Any = None, **fields: Any) -> Answer:
    spec = spec_of(upstream, model, **(settings or {}))
    engine = load(spec)
    engine.add(Job(request(spec, **fields)))
    return run(engine)


def test_it_works(upstream: Upstream) -> None:
    answer = ask(upstream, "words")
    assert answer.text == WORDS + " "
    assert [event.position for event in answer.tokens] == list(range(1, 9))
    # Nobody here knows the ids.
    assert {event.tokens for event in answer.tokens} == {(-1,)}
    assert answer.end
    assert answer.end.reason == "stop"
    # The provider's count, which is billed, not ours of what came.
    assert answer.end.stats == {"prompt_tokens": 18, "completion_tokens": 16, "cached_tokens": 3}
    (asked,) = upstream.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["Host"] == f"127.0.0.1:{upstream.port}"
    assert asked.body == {
        "model": "words",
        "messages": [{"role": "user", "content": WORDS}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_many_at_once_each_with_its_own_answer(upstream: Upstream) -> None:
    upstream.delay = 0.02
    spec = spec_of(upstream, "words")
    engine = load(spec)
    texts = {f"g{n}": f"{n} {WORDS}" for n in range(24)}
    for id, text in texts.items():
        engine.add(Job(replace(request(spec, text), id=id)))
    answers = {id: Answer() for id in texts}
    began = time.monotonic()
    while engine.busy():
        for event in engine.step():
            answers[event.id].take(event)
    assert {id: answer.text.strip() for id, answer in answers.items()} == texts
    assert time.monotonic() - began < 24 * 9 * 0.02, "one after the other"


@pytest.mark.parametrize("model", ["whole", "words"])
def test_a_prompt_and_servers_that_do_not_stream(upstream: Upstream, model: str) -> None:
    fields: dict[str, Any] = {} if model == "whole" else {"messages": (), "prompt": "one two"}
    answer = ask(upstream, model, **fields)
    assert answer.text.split() == ("one two" if fields else WORDS).split()
    assert answer.end
    assert answer.end.reason == "stop"
    assert answer.end.stats["completion_tokens"] == 4
    assert upstream.asked[0].path == ("/v1/completions" if fields else "/v1/chat/completions")


def test_a_stream_that_is_not_called_one(upstream: Upstream) -> None:
    answer = ask(upstream, "mutters")
    assert answer.text == WORDS
    assert answer.end
    assert answer.end.reason == "stop"


def test_reasoning_and_calls_and_likelihoods(upstream: Upstream) -> None:
    thought = ask(upstream, "thinks")
    assert (thought.reasoning, thought.text) == ("Let me see. ", "42")
    assert thought.end
    assert thought.end.stats["reasoning_tokens"] == 6
    called = ask(upstream, "calls", tools=({"type": "function", "function": {"name": "add"}},))
    assert called.calls == [
        CallDelta(0, "add"),
        CallDelta(0, arguments='{"a": 1,'),
        CallDelta(0, arguments=' "b": 2}'),
        # The provider's numbers may have gaps, ours have none.
        CallDelta(1, "now", "{}"),
    ]
    assert called.end
    assert called.end.reason == "stop"
    (told,) = ask(upstream, "likely", sampling=Sampling(logprobs=2)).tokens[0].logprobs
    assert (bytes(told.data), told.logprob, told.token) == (b"Hi", -0.1, -1)
    assert [bytes(each.data) for each in told.top] == [b"Hi", b"Yo"]


def test_vectors(upstream: Upstream) -> None:
    answer = ask(upstream, "embeds", messages=(), inputs=("a", "bc"))
    assert [list(each.values) for each in answer.vectors] == [[0, 1], [1, 2]]
    assert [each.index for each in answer.vectors] == [0, 1]
    assert answer.end
    assert answer.end.stats == {"prompt_tokens": 6, "completion_tokens": 0}
    assert upstream.asked[0].path == "/v1/embeddings"


@pytest.mark.parametrize(
    ("model", "kind", "kept"),
    [
        ("keyless", "remote_key_refused", ""),
        ("forbidden", "remote_forbidden", ""),
        ("no-such-model", "remote_model_missing", ""),
        ("poor", "remote_quota", ""),
        ("busy", "remote_busy", ""),
        ("bad", "remote_refused", ""),
        ("long", "context_length_exceeded", ""),
        ("broken", "remote_failed", ""),
        ("away", "remote_failed", ""),
        ("redirects", "remote_redirect", ""),
        ("html", "remote_garbage", ""),
        ("packed", "remote_garbage", ""),
        ("babbles", "remote_garbage", "one "),
        ("floods", "remote_garbage", ""),
        ("cuts", "remote_cut", "one two "),
        ("forgets", "remote_cut", "one "),
        ("breaks", "remote_failed", "one "),
        ("filters", "remote_filtered", "one "),
    ],
)
def test_failures_have_kinds_and_keep_what_came(
    upstream: Upstream, caplog: pytest.LogCaptureFixture, model: str, kind: str, kept: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = ask(upstream, model)
    assert answer.error["kind"] == kind
    assert answer.text == kept
    # Nothing is asked twice, and nobody is followed to somewhere else.
    assert [asked.path for asked in upstream.asked] == ["/v1/chat/completions"]
    # The key is nowhere, though the provider repeats it.
    assert KEY not in f"{answer} {caplog.text}"


def test_what_a_failure_tells(upstream: Upstream) -> None:
    assert ask(upstream, "busy").error == {"kind": "remote_busy", "retry_after": 7}
    too_long = {"kind": "context_length_exceeded", "prompt_tokens": 250, "context_length": 100}
    assert ask(upstream, "long").error == too_long
    assert ask(upstream, "bad").error["detail"] == "No, said Bearer …."


def test_an_answer_without_a_count_is_estimated(upstream: Upstream) -> None:
    answer = ask(upstream, "leaves", text="x" * 40)
    assert answer.end
    assert (answer.end.reason, answer.text) == ("stop", "one two")
    assert answer.end.stats == {"prompt_tokens": 10, "completion_tokens": 1, "estimated": True}


@pytest.mark.parametrize("model", ["waits", "stalls"])
def test_silence_ends(upstream: Upstream, model: str) -> None:
    began = time.monotonic()
    answer = ask(upstream, model, {"first_s": 0.3, "silence_s": 0.3})
    assert answer.error["kind"] == "remote_timeout"
    assert time.monotonic() - began < 5
    assert answer.text == ("one two " if model == "stalls" else "")


@pytest.mark.parametrize("model", ["waits", "stalls"])
def test_a_stop_ends_at_once_and_hangs_up(upstream: Upstream, model: str) -> None:
    spec = spec_of(upstream, model)
    engine = load(spec)
    engine.add(Job(request(spec)))
    until = time.monotonic() + 5
    answer = Answer()
    while not upstream.asked or (model == "stalls" and len(answer.tokens) < 2):
        assert time.monotonic() < until
        for event in engine.step():
            answer.take(event)
    engine.cancel("a")
    began = time.monotonic()
    while answer.end is None:
        for event in engine.step():
            answer.take(event)
    assert answer.end.reason == "cancelled"
    assert time.monotonic() - began < 0.5
    assert not engine.busy()
    if model == "stalls":
        assert upstream.left.wait(5), "the provider goes on for nobody"


def test_nobody_there(upstream: Upstream) -> None:
    permit = seal(Permit("http://127.0.0.1:9/v1", inside=True), SECRET)
    spec = ModelSpec("far", "remote", {"permit": permit, "model": "m"})
    engine = load(spec)
    engine.add(Job(request(spec)))
    assert run(engine).error["kind"] == "remote_unreachable"


def test_the_other_words_that_a_provider_wants(upstream: Upstream) -> None:
    """A refusal costs nothing, so the same is asked in other words."""
    answer = ask(upstream, "choosy", sampling=Sampling.from_dict({**PLAIN, "max_tokens": 3}))
    assert answer.text.split() == WORDS.split()[:3]
    assert answer.end
    assert answer.end.reason == "length"
    assert ["max_completion_tokens" in asked.body for asked in upstream.asked] == [
        False,
        True,
        True,
    ]
    assert "stream_options" not in upstream.asked[-1].body


def test_a_limit_that_is_larger_than_the_room_is_no_error(upstream: Upstream) -> None:
    answer = ask(upstream, "narrow", sampling=Sampling.from_dict({**PLAIN, "max_tokens": 1000}))
    assert answer.text.split() == WORDS.split()[:5]
    assert upstream.asked[-1].body["max_tokens"] == 5


@pytest.mark.parametrize("drop", [True, False])
def test_the_oldest_are_left_out_where_the_user_chose_so(upstream: Upstream, drop: bool) -> None:
    turns = [Message("system", "Be kind.")]
    for n in range(5):
        turns += [Message("user", f"question {n}"), Message("assistant", f"answer {n}")]
    messages = (*turns, Message("user", WORDS))
    answer = ask(upstream, "narrow", messages=messages, drop_oldest=drop)
    if not drop:
        assert answer.error["kind"] == "context_length_exceeded"
        return
    assert answer.text.strip() == WORDS
    sent = upstream.asked[-1].body["messages"]
    assert [turn["content"] for turn in sent] == ["Be kind.", WORDS]
    assert answer.end
    assert answer.end.stats["left_out"] == 10


@pytest.mark.parametrize("known", [{"attempt": 2}, {"tokens": (-1, -1)}])
def test_what_may_have_been_asked_before_is_not_asked_again(
    upstream: Upstream, known: dict[str, Any]
) -> None:
    spec = spec_of(upstream, "words")
    engine = load(spec)
    engine.add(Job(request(spec), **known))
    assert run(engine).error == {"kind": "remote_interrupted"}
    assert upstream.asked == []


def test_a_schema_and_tools_go_along(upstream: Upstream) -> None:
    schema = Shape("schema", '{"type": "object"}')
    tools = ({"type": "function", "function": {"name": "add", "parameters": {}}},)
    ask(upstream, "words", shape=schema, tools=tools, tool_choice="add", parallel_tool_calls=False)
    body = upstream.asked[0].body
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert body["tools"] == list(tools)
    assert body["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert body["parallel_tool_calls"] is False


def test_a_worker_that_does_not_know_the_secret(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = spec_of(upstream, "words")
    monkeypatch.setenv("CHATSITE_SECRET_KEY", "another")
    with pytest.raises(LockedError) as locked:
        load(spec)
    assert locked.value.kind == "remote_locked"
    monkeypatch.delenv("CHATSITE_SECRET_KEY")
    monkeypatch.setenv("CHATSITE_DATA_DIR", str(tmp_path))
    with pytest.raises(LockedError):
        load(spec)
    (tmp_path / "secret_key").write_text(SECRET + "\n")
    engine = load(spec)
    engine.add(Job(request(spec)))
    assert run(engine).text.strip() == WORDS
