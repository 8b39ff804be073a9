"""A bare `vllm serve` as a provider: its models are chosen by name and answer in the chat and
through the API as those that run here do; what it refuses and how it dies is told."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import openai
import pytest
from openai import OpenAI

from tests.live import Person, Site, free_port
from tests.running.asking import ENDLESS, HELLO, count, said, wait_idle
from tests.running.reader import Reader
from tests.running.talking import say
from tests.vllm import environment

# As it is called there, and here.
THEIRS, FAR = "their-tiny", "far-tiny"
KEY = "sk-of-the-gpu-server"
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 12}
ENVIRON = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
OPTIONS = ("--enforce-eager", "--max-model-len", "1024", "--max-num-seqs", "8")
# Seconds for its boot.
BOOT = 120


class Server:
    """`vllm serve` on loopback, with what it starts itself in one process group."""

    def __init__(self, weights: Path, log: Path) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        # What `vllm serve` starts; that command itself looks for a package of another name here.
        program = (sys.executable, "-m", "vllm.entrypoints.openai.api_server")
        names = ("--model", str(weights), "--served-model-name", THEIRS, "--api-key", KEY)
        where = ("--host", "127.0.0.1", "--port", str(self.port))
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*program, *names, *where, *OPTIONS],
                env=os.environ | ENVIRON,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        until = time.monotonic() + BOOT
        while True:
            try:
                urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
                return
            except (URLError, OSError):
                assert self._process.poll() is None, self._log.read_text()[-3000:]
                assert time.monotonic() < until, self._log.read_text()[-3000:]
                time.sleep(0.2)

    def kill(self) -> None:
        """All of it at once."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture(scope="module")
def server(safetensors: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It boots while the site does."""
    made = Server(safetensors, tmp_path_factory.mktemp("upstream") / "log")
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture(scope="module")
def far(server: Server) -> Iterator[Site]:
    product = Site(python=environment.site_python())
    try:
        product.start()
        server.wait()
        yield product
    finally:
        product.remove()


@pytest.fixture(scope="module")
def alice(far: Site) -> Person:
    return far.person("alice")


@pytest.fixture(scope="module")
def chosen(far: Site, alice: Person, server: Server) -> str:
    """The provider by the admin's pages, and its model; the address of its page."""
    made = {"name": "GPU server", "base_url": server.base_url, "key": KEY, "inside": "on"}
    assert alice.post("/settings/providers/new", **made).status == 200
    found = re.search(r"/settings/providers/\d+", alice.get("/settings/providers").text)
    assert found
    page = found[0]
    listed = alice.get(f"{page}/models").text
    assert f'value="{THEIRS}"' in listed
    saved = alice.post(f"{page}/models", upstream=THEIRS, name=FAR, use="0")
    assert saved.status == 200
    assert FAR in alice.get("/chat/").text
    return page


@pytest.fixture(scope="module")
def client(far: Site, alice: Person, chosen: str) -> Iterator[OpenAI]:
    key = far.manage("apikey", "alice", "--name", "tests").strip()
    with OpenAI(base_url=f"{far.url}/v1", api_key=key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def direct(server: Server, far: Site) -> Iterator[OpenAI]:
    """The server itself, to compare with."""
    with OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


def test_it_works(alice: Person, client: OpenAI, direct: OpenAI) -> None:
    """In the chat over the WebSocket, and through the API, as the server itself says it."""
    theirs = direct.chat.completions.create(model=THEIRS, messages=HELLO, **GREEDY)
    ours = client.chat.completions.create(model=FAR, messages=HELLO, **GREEDY)
    assert FAR in [model.id for model in client.models.list()]
    assert ours.choices[0].message.content == theirs.choices[0].message.content
    assert ours.choices[0].finish_reason == theirs.choices[0].finish_reason
    assert ours.usage
    assert theirs.usage
    assert ours.usage.prompt_tokens == theirs.usage.prompt_tokens
    assert ours.usage.completion_tokens == theirs.usage.completion_tokens
    answer = say(alice, "Say hello to Bob.", model=FAR, temperature="0", max_tokens="12")
    with closing(Reader(alice, answer.generation)) as reader:
        reader.start()
        assert reader.wait_end(30)["status"] == "done"
    assert answer.wait_closed() == "done"
    assert answer.saved() == reader.text
    assert reader.text.strip()


def test_a_stream_tells_usage_and_likelihoods(client: OpenAI, direct: OpenAI) -> None:
    asked: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    asked |= {"logprobs": True, "top_logprobs": 2, "messages": HELLO, **GREEDY}
    told = []
    for each, model in ((direct, THEIRS), (client, FAR)):
        chunks = list(each.chat.completions.create(model=model, **asked))
        choices = [choice for chunk in chunks for choice in chunk.choices]
        likely = [
            (entry.token, round(entry.logprob, 2), [top.token for top in entry.top_logprobs])
            for choice in choices
            for entry in (choice.logprobs and choice.logprobs.content) or ()
        ]
        assert len(likely) == GREEDY["max_tokens"]
        text = "".join(choice.delta.content or "" for choice in choices)
        told.append((text, likely, chunks[-1].usage.total_tokens))
    assert told[0] == told[1]


def test_what_it_refuses_is_the_callers_error(client: OpenAI) -> None:
    """It was started without a parser for calls of tools, and its context is short."""
    tool: Any = {"type": "function", "function": {"name": "greet", "parameters": {}}}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model=FAR, messages=HELLO, tools=[tool], tool_choice="auto", **GREEDY
        )
    assert "tool" in refused.value.message
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(model=FAR, messages=said("one two " * 1000), **GREEDY)
    assert long.value.code == "context_length_exceeded"


def test_a_reader_that_leaves_stops_it(far: Site, client: OpenAI, server: Server) -> None:
    wait_idle(far)
    stopped = count(far, "stopped")
    stream = begin(client)
    stream.close()
    wait_idle(far)
    assert count(far, "stopped") == stopped + 1
    until = time.monotonic() + 10
    while running(server):
        assert time.monotonic() < until, "it goes on for nobody"
        time.sleep(0.1)


def begin(client: OpenAI) -> Any:
    """A long answer, of which the first word is read."""
    long = {**ENDLESS, "max_tokens": 900}
    stream = client.chat.completions.create(model=FAR, messages=HELLO, stream=True, **long)
    next(chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
    return stream


def running(server: Server) -> float:
    """How many answers it writes just now."""
    with urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
        told = answer.read().decode()
    found = re.findall(r"^vllm:num_requests_running\{.*\} (\S+)", told, re.MULTILINE)
    assert found
    return sum(map(float, found))


def test_its_death_is_a_clear_error(alice: Person, client: OpenAI, server: Server) -> None:
    """The last test: afterwards it is gone, and that is told, too."""
    answer = say(alice, "Tell me a story.", model=FAR, temperature="0", max_tokens="900")
    stream = begin(client)
    with closing(Reader(alice, answer.generation)) as reader:
        reader.start()
        reader.wait_position(5)
        server.kill()
        with pytest.raises(openai.APIError) as cut:
            for _ in stream:
                pass
        assert cut.value.code == "remote_cut"
        end = reader.wait_end(20)
    assert end["error"]["kind"] == "remote_cut"
    assert answer.wait_closed() == "failed"
    assert answer.saved().startswith(reader.text)
    with pytest.raises(openai.APIStatusError) as gone:
        client.chat.completions.create(model=FAR, messages=HELLO, **GREEDY)
    assert gone.value.code == "remote_unreachable"
