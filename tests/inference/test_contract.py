"""The boundary's nouns: JSON and back, and what is unknown stays outside (R21)."""

from __future__ import annotations

import json

import pytest

from inference.contract import (
    CallDelta,
    Event,
    Finish,
    Logprob,
    Message,
    Progress,
    Request,
    Sampling,
    Task,
    Tokens,
    Vector,
    pack,
    unpack,
)
from tests.inference.logs import request


def test_it_works() -> None:
    sampling = Sampling(seed=1, max_tokens=5, logit_bias={7: -1.5}, stop=("\n",), logprobs=2)
    whole = request("a", text="你好 🙂", sampling=sampling, drop_oldest=True)
    assert Request.from_json(whole.to_json()) == whole
    assert Request.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_a_task_and_token_ids_survive_as_well() -> None:
    task = Task("detokenize", (1, 2), special=True, opened=False, pieces=True)
    whole = request("a", task=task, inputs=("one", (5, 6)), dimensions=64)
    assert Request.from_json(whole.to_json()) == whole
    assert whole.queue != request("a").queue == whole.model.name


def test_what_is_unknown_is_dropped() -> None:
    data = request("a").to_dict()
    data["sampling"]["n_discard"] = -1
    data["model"]["command"] = "evil"
    data["chat_template"] = "{{ evil }}"
    data["messages"][0]["prompt_embeds"] = "x"
    read = Request.from_dict(data)
    assert read == request("a")
    assert read.messages == (Message("user", "Hello"),)


@pytest.mark.parametrize(
    "event",
    [
        Tokens("a", 2, (5, 6), "hé", "why"),
        Tokens(
            "a",
            1,
            (5,),
            calls=(CallDelta(0, "look"), CallDelta(0, arguments="{")),
            logprobs=(Logprob(5, (195,), -0.5, (Logprob(5, (195,), -0.5),)),),
        ),
        Progress("a", "reading", 0.5),
        Vector("a", 1, (0.5, -1.0)),
        Finish("a", "stop", "x", calls=(CallDelta(1, "f", "{}"),), stats={"prompt_tokens": 3}),
        Finish("a", "error", error={"kind": "engine_lost"}),
    ],
)
def test_an_event_survives_the_pipe(event: Event) -> None:
    assert unpack(json.loads(json.dumps(pack(event)))) == event
