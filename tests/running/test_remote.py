"""Models elsewhere in the running product: this very site as its own provider, with real weights,
and a provider that counts how often it is asked."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.live import Person, Site
from tests.running.talking import STARTER, broker, log_position, read_log, say
from tests.upstream import Upstream

pytestmark = pytest.mark.live

FAR, FAR_ECHO = "starter-elsewhere", "echo-elsewhere"
KEY = "sk-very-secret-1"
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 20}
HELLO: list[Any] = [{"role": "user", "content": "Say hello to Bob."}]
CHOOSE = """
import json, os
from chatsite.catalogue import providers
from chatsite.catalogue.models import Provider
pk = Provider.objects.get(name=os.environ["NAME"]).pk
offers = [providers.Offer(*pair) for pair in json.loads(os.environ["OFFERS"])]
providers.choose_models(pk, offers)
"""
STATS = """
import json, os
from chatsite.gateway.models import Generation
row = Generation.objects.get(pk=os.environ["ID"])
print(json.dumps([row.stats.get("prompt_tokens"), row.stats["completion_tokens"]]))
"""


@pytest.fixture(scope="module")
def alice(site: Site) -> Person:
    site.wait_ready()
    return site.person("alice")


@pytest.fixture(scope="module")
def key(site: Site, alice: Person) -> str:
    return site.manage("apikey", "alice", "--name", "tests").strip()


def add(site: Site, alice: Person, name: str, base_url: str, key: str, offers: str) -> str:
    """A provider by the admin's page, and its models; the address of its page."""
    made = {"name": name, "base_url": base_url, "key": key, "inside": "on"}
    assert alice.post("/settings/providers/new", **made).status == 200
    site.shell(CHOOSE, NAME=name, OFFERS=offers)
    listed = alice.get("/settings/providers").text
    found = re.findall(
        r'href="(/settings/providers/\d+)">.*?<strong>(.*?)</strong>', listed, re.DOTALL
    )
    return str(next(address for address, each in found if each == name))


@pytest.fixture(scope="module")
def itself(site: Site, alice: Person, key: str) -> Iterator[str]:
    """The site as its own provider."""
    offers = f'[["{STARTER}", "{FAR}"], ["echo", "{FAR_ECHO}"]]'
    page = add(site, alice, "Itself", f"{site.url}/v1", key, offers)
    yield page
    alice.post(f"{page}/delete")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(key=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def counting(site: Site, alice: Person, upstream: Upstream) -> Iterator[str]:
    offers = '[["stalls", "far-stalls"], ["words", "far-words"], ["busy", "far-busy"], '
    offers += '["embeds", "far-embeds"]]'
    page = add(site, alice, "Counting", upstream.base_url, KEY, offers)
    yield page
    alice.post(f"{page}/delete")


@pytest.fixture
def client(site: Site, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0) as client:
        yield client


def test_it_works(site: Site, alice: Person, itself: str) -> None:
    """The page of the provider tells its models, and one of them answers in the chat as it does
    here."""
    listed = alice.get(f"{itself}/models").text
    assert f'value="{STARTER}"' in listed
    said = {}
    for model in (STARTER, FAR):
        answer = say(alice, "Say hello to Bob.", model=model, temperature="0", max_tokens="20")
        assert answer.wait_closed(60) == "done"
        said[model] = answer
    assert said[FAR].saved() == said[STARTER].saved()
    assert said[FAR].saved()
    counts = [site.shell(STATS, ID=answer.generation) for answer in said.values()]
    assert counts[0] == counts[1]
    # What is not known here is not made up.
    assert set(read_log(site, said[FAR].generation).tokens) == {-1}
    assert "Itself" in alice.get("/chat/").text


def test_the_same_at_v1_whole_and_as_a_stream(client: OpenAI, itself: str) -> None:
    near = client.chat.completions.create(model=STARTER, messages=HELLO, **GREEDY)
    far = client.chat.completions.create(model=FAR, messages=HELLO, **GREEDY)
    assert far.choices[0].message.content == near.choices[0].message.content
    assert far.choices[0].finish_reason == near.choices[0].finish_reason == "length"
    assert near.usage
    assert far.usage
    assert far.usage.prompt_tokens == near.usage.prompt_tokens
    assert far.usage.completion_tokens == near.usage.completion_tokens == 20
    asked: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model=FAR, messages=HELLO, **GREEDY, **asked))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == near.choices[0].message.content
    assert chunks[-1].usage.total_tokens == near.usage.total_tokens


def test_plain_texts_and_likelihoods_pass_through(client: OpenAI, itself: str) -> None:
    texts = [
        client.completions.create(model=model, prompt="One, two,", temperature=0, max_tokens=6)
        for model in (STARTER, FAR)
    ]
    assert texts[0].choices[0].text == texts[1].choices[0].text
    told = []
    for model in (STARTER, FAR):
        answer = client.chat.completions.create(
            model=model, messages=HELLO, temperature=0, max_tokens=4, logprobs=True, top_logprobs=2
        )
        content = answer.choices[0].logprobs and answer.choices[0].logprobs.content
        assert content
        told.append([(each.token, [top.token for top in each.top_logprobs]) for each in content])
    assert told[0] == told[1]


def test_responses_and_vectors(client: OpenAI, itself: str, counting: str) -> None:
    texts = [
        client.responses.create(
            model=model, input="Say hello to Bob.", temperature=0, max_output_tokens=20
        ).output_text
        for model in (STARTER, FAR)
    ]
    assert texts[0] == texts[1]
    assert texts[0]
    found = client.embeddings.create(model="far-embeds", input=["a", "bc"], encoding_format="float")
    assert [each.embedding for each in found.data] == [[0.0, 1.0], [1.0, 2.0]]
    assert found.usage.prompt_tokens == 6


def test_schemas_and_tools_pass_through(client: OpenAI, itself: str) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    tool: Any = {"type": "function", "function": {"name": "greet", "parameters": schema}}
    choice: Any = {"type": "function", "function": {"name": "greet"}}
    shaped, called = [], []
    for model in (STARTER, FAR):
        asked: dict[str, Any] = {"model": model, "messages": HELLO, "temperature": 0}
        answer = client.chat.completions.create(**asked, max_tokens=60, response_format=form)
        shaped.append(answer.choices[0].message.content)
        answer = client.chat.completions.create(
            **asked, max_tokens=60, tools=[tool], tool_choice=choice
        )
        calls = answer.choices[0].message.tool_calls or []
        called.append([(call.function.name, call.function.arguments) for call in calls])
        assert answer.choices[0].finish_reason == "tool_calls"
    assert shaped[0] == shaped[1]
    assert called[0] == called[1]
    assert called[0][0][0] == "greet"


def test_the_upstreams_refusals_are_the_callers(
    client: OpenAI, itself: str, counting: str, upstream: Upstream
) -> None:
    long: Any = [{"role": "user", "content": "x " * 4999}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=FAR_ECHO, messages=long)
    assert refused.value.code == "context_length_exceeded"
    assert "5000" in refused.value.message
    with pytest.raises(openai.RateLimitError) as busy:
        client.chat.completions.create(model="far-busy", messages=HELLO)
    assert busy.value.response.headers["Retry-After"] == "7"


def test_a_reader_that_leaves_hangs_up_far_away(
    client: OpenAI, counting: str, upstream: Upstream
) -> None:
    upstream.left.clear()
    stream = client.chat.completions.create(model="far-stalls", messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    assert upstream.left.wait(10)


@pytest.mark.parametrize("part", ["engine", "worker"])
def test_what_was_interrupted_is_not_asked_again(
    site: Site, alice: Person, counting: str, upstream: Upstream, part: str
) -> None:
    text = f"Tell me about the {part}."
    answer = say(alice, text, model="far-stalls")
    until = time.monotonic() + 20
    while log_position(site, answer.generation) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    if part == "worker":
        site.kill("worker")
    else:
        for pid in site.engines():
            os.kill(pid, signal.SIGKILL)
    assert answer.wait_closed(30) == "failed"
    assert answer.saved() == "one two "
    assert 'data-kind="remote_interrupted"' in answer.thread()
    assert asked(upstream, text) == 1
    # Again, since somebody wants it.
    message = re.findall(r'id="turn-(\d+)"', answer.thread())[-1]
    address = f"/chat/{answer.conversation}/regenerate"
    nonce = "6f1c1f4e-0000-4000-8000-00000000000" + ("1" if part == "worker" else "2")
    again = alice.post(address, message=message, nonce=nonce, model="far-words")
    assert again.status == 200
    until = time.monotonic() + 20
    while asked(upstream, text) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)


def asked(upstream: Upstream, text: str) -> int:
    """How often this was asked, a title for it aside."""
    bodies = [each.body for each in upstream.asked if each.body.get("messages")]
    return sum(body["messages"][-1]["content"] == text for body in bodies)


def test_the_key_is_nowhere(site: Site, alice: Person, counting: str, upstream: Upstream) -> None:
    answer = say(alice, "one two three", model="far-words")
    assert answer.wait_closed(30) == "done"
    assert answer.saved().split() == ["one", "two", "three"]
    assert upstream.asked[-1].headers["Authorization"] == f"Bearer {KEY}"
    for part in ("web", "worker", "steward"):
        assert KEY not in site.log(part)
    with broker(site) as client:
        for name in client.scan_iter("gen:*"):
            assert KEY not in str(client.xrange(name))
    for address in ("/metrics", counting, "/settings/providers", "/chat/"):
        assert KEY not in alice.get(address).text
    assert KEY.encode() not in (site.data / "db.sqlite3").read_bytes()
