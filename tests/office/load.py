"""People who talk and programs that call while something is restarted: each tries again what
failed, in the same words and under the same name, and remembers how often it had to."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from types import TracebackType
from typing import Any

import openai
from openai import OpenAI

from tests.live import Person, Site
from tests.office.office import until

# Seconds for which somebody tries again.
PATIENCE = 30.0


class Load:
    """Three people in three threads, and three callers of /v1; until the block ends."""

    def __init__(self, site: Site, key: str) -> None:
        self._site, self._key = site, key
        self._people = [site.person(name) for name in ("alice", "bob", "carol")]
        self._leaving = threading.Event()
        self._threads: list[threading.Thread] = []
        # What was said, and whether it was taken; what a program asked, and the answer.
        self.said: dict[str, bool] = {}
        self.called: dict[str, str] = {}
        # What even the tries again did not bring about.
        self.failures: list[str] = []
        # What they met meanwhile.
        self.met: Counter[str] = Counter()
        # The longest time from a first try to the one that went through.
        self.longest = 0.0

    def __enter__(self) -> Load:
        self._threads = [
            *(threading.Thread(target=self._talk, args=(each,)) for each in self._people),
            *(threading.Thread(target=self._call) for _ in self._people),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leaving.set()
        for thread in self._threads:
            thread.join(PATIENCE * 2)

    def grow(self, count: int) -> None:
        """Until as many more messages and calls have been answered."""
        goal = len(self.said) + len(self.called) + count
        until(lambda: len(self.said) + len(self.called) >= goal, 60, "for the load")

    def report(self) -> str:
        tries = ", ".join(f"{number} x {what}" for what, number in sorted(self.met.items()))
        numbers = f"{len(self.said)} said, {len(self.called)} called"
        return f"{numbers}; met {tries or 'nothing'}; longest {self.longest:.1f} s"

    def _talk(self, person: Person) -> None:
        number = 0
        while not self._leaving.is_set():
            number += 1
            text = f"{person.name} says {number} {uuid.uuid4().hex}"
            nonce = str(uuid.uuid4())
            fields = {"model": "echo", "nonce": nonce, "conversation": "", "text": text}
            taken = self._persist(lambda fields=fields: say(person, fields))
            self.said[text] = taken is not None

    def _call(self) -> None:
        with OpenAI(base_url=f"{self._site.url}/v1", api_key=self._key, max_retries=0) as api:
            while not self._leaving.is_set():
                text = f"call {uuid.uuid4().hex}"
                answer = self._persist(lambda text=text: call(api, text))
                self.called[text] = answer or ""

    def _persist(self, attempt: Any) -> str | None:
        began = time.monotonic()
        while True:
            try:
                answer: str = attempt()
            except FailedError as error:
                self.met[str(error)] += 1
                if time.monotonic() - began > PATIENCE:
                    self.failures.append(str(error))
                    return None
                time.sleep(0.3)
            else:
                self.longest = max(self.longest, time.monotonic() - began)
                return answer


class FailedError(Exception):
    """It may be tried again."""


def say(person: Person, fields: dict[str, str]) -> str:
    try:
        answer = person.post("/chat/send", **fields)
    except OSError as error:
        raise FailedError(f"say: {type(error).__name__}") from error
    if answer.status != 200:
        raise FailedError(f"say: {answer.status}")
    return answer.text


def call(api: OpenAI, text: str) -> str:
    try:
        answer = api.chat.completions.create(
            model="echo",
            messages=[{"role": "user", "content": text}],
            extra_headers={"Idempotency-Key": text},
            timeout=40,
        )
    except openai.APIStatusError as error:
        if error.status_code < 500:
            raise
        raise FailedError(f"call: {error.status_code}") from error
    except openai.APIConnectionError as error:
        raise FailedError(f"call: {type(error).__name__}") from error
    return answer.choices[0].message.content or ""
