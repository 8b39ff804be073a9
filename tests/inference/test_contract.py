"""The boundary's nouns: JSON and back, and what is unknown stays outside (R21)."""

from __future__ import annotations

import json

from inference.contract import Message, Request, Sampling
from tests.inference.logs import request


def test_it_works() -> None:
    whole = request("a", text="你好 🙂", sampling=Sampling(seed=1, max_tokens=5), drop_oldest=True)
    assert Request.from_json(whole.to_json()) == whole
    assert Request.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_what_is_unknown_is_dropped() -> None:
    data = request("a").to_dict()
    data["sampling"]["n_discard"] = -1
    data["model"]["command"] = "evil"
    data["chat_template"] = "{{ evil }}"
    data["messages"][0]["name"] = "x"
    read = Request.from_dict(data)
    assert read == request("a")
    assert read.messages == (Message("user", "Hello"),)
