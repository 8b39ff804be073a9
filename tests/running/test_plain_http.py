"""Programs without any SDK: `curl` and `requests`; with a key, with EMPTY for one, with none."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
import requests

from tests.lacking import lack
from tests.live import Site
from tests.running.asking import HELLO, said
from tests.running.talking import STARTER

pytestmark = pytest.mark.live
KEYS = ["key", "EMPTY", None]


@pytest.fixture(params=KEYS, ids=["a key", "EMPTY", "no key"])
def authorization(request: pytest.FixtureRequest, key: str) -> list[str]:
    """Headers; a program on this machine is its owner's, whatever it calls its key."""
    if request.param is None:
        return []
    return [f"Authorization: Bearer {key if request.param == 'key' else request.param}"]


def curl(site: Site, path: str, *options: str) -> str:
    if shutil.which("curl") is None:
        lack("curl is not installed.")
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--no-buffer", "--max-time", "60", *options,
         site.url + path],
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def headers(lines: list[str]) -> list[str]:
    return [option for line in lines for option in ("-H", line)]


def test_it_works(site: Site, authorization: list[str]) -> None:
    body = json.dumps({"model": STARTER, "messages": HELLO, "max_tokens": 8})
    typed = ["-H", "Content-Type: application/json"]
    answer = json.loads(
        curl(site, "/v1/chat/completions", *headers(authorization), *typed, "-d", body)
    )
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"]
    models = json.loads(curl(site, "/v1/models", *headers(authorization)))
    assert STARTER in {model["id"] for model in models["data"]}


def test_curl_reads_a_stream(site: Site, authorization: list[str]) -> None:
    body = json.dumps({"model": "echo", "messages": said("one two three"), "stream": True})
    # Without a content type: curl then says that it is a form.
    events = curl(site, "/v1/chat/completions", *headers(authorization), "-d", body).split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == "one two three"


def test_a_page_of_a_browser_is_not_the_owner(site: Site) -> None:
    """R18: what a foreign page can make a browser send is nobody's."""
    told = json.loads(curl(site, "/v1/models", "-H", "Origin: http://evil.test"))
    assert told["error"]["code"] == "invalid_api_key"


def test_requests_reads_whole_answers_and_streams(site: Site, authorization: list[str]) -> None:
    url = f"{site.url}/v1/chat/completions"
    sent = dict(line.split(": ", 1) for line in authorization)
    asked: dict[str, Any] = {"model": STARTER, "messages": HELLO, "max_tokens": 8, "seed": 1}
    whole = requests.post(url, headers=sent, json=asked, timeout=60)
    assert whole.status_code == 200
    text = ""
    with requests.post(
        url, headers=sent, json=asked | {"stream": True}, stream=True, timeout=60
    ) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        answer.encoding = "utf-8"
        for line in answer.iter_lines(decode_unicode=True):
            if line.startswith("data: {"):
                chunk = json.loads(line.removeprefix("data: "))
                text += chunk["choices"][0]["delta"].get("content", "")
    assert text == whole.json()["choices"][0]["message"]["content"]


def test_requests_hears_what_is_wrong(site: Site, key: str) -> None:
    url = f"{site.url}/v1/chat/completions"
    answers = [
        requests.post(url, data="{", timeout=60),
        requests.post(url, json={"model": "echo"}, timeout=60),
        requests.put(url, timeout=60),
        requests.post(url, json={}, headers={"Authorization": f"Bearer {key}x"}, timeout=60),
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 405, 401]
    assert [answer.json()["error"]["code"] for answer in answers] == [
        *("invalid_json", "missing_required_parameter", "method_not_allowed", "invalid_api_key")
    ]
