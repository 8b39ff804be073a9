"""Calls of the API that Schemathesis makes of its schema: well formed ones, and ones that are not.
It sends nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import schemathesis
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.core import NotSet
from schemathesis.core.result import Ok

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    method: str
    path: str
    query: Json
    # None: there is none; bytes are sent as they are, all else as JSON.
    body: Any = None

    @property
    def address(self) -> str:
        text = urlencode(self.query, doseq=True, errors="replace")
        return f"{self.path}?{text}" if text else self.path

    def data(self, model: str) -> bytes:
        """The body; where it names a model, this one."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body or b""
        body = self.body
        if isinstance(body, dict) and isinstance(body.get("model"), str):
            body = {**body, "model": model}
        return json.dumps(body).encode()


def cases(document: Json) -> dict[tuple[str, str], SearchStrategy[Case]]:
    """By path and method. Who calls is the tests' own matter."""
    known = {key: value for key, value in document.items() if key != "security"}
    found = schemathesis.openapi.from_dict(known).get_all_operations()
    operations = [each.ok() for each in found if isinstance(each, Ok)]
    return {(each.path, each.method): made(each) for each in operations}


def made(operation: Any) -> SearchStrategy[Case]:
    modes = [operation.as_strategy(generation_mode=mode).map(read) for mode in GenerationMode]
    told = operation.definition.raw.get("requestBody")
    if told is None:
        return st.one_of(*modes)
    sample = told["content"]["application/json"]["example"]
    return st.one_of(*modes, modes[0].map(lambda case: near(case, sample)))


def near(case: Case, sample: Json) -> Case:
    """A sample, with one parameter that was made beside it: most of these are answered."""
    body = case.body if isinstance(case.body, dict) else {}
    further = [(name, value) for name, value in body.items() if name not in sample][:1]
    return replace(case, body={**sample, **dict(further)})


def read(case: Any) -> Case:
    body = None if isinstance(case.body, NotSet) else case.body
    return Case(case.method.upper(), case.formatted_path, dict(case.query or {}), body)
