"""R24: whatever is made of the schema, well formed or not, no call of the API is an error of ours,
and every refusal has the shape that the schema tells."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.api import operations, schema
from chatsite.api.operations import Told
from chatsite.api.shapes import Error
from tests.site.api.cases import Case, cases

CASES = cases(schema.build("http://testserver"))
TOLD = operations.told()
CLIENT = Client(raise_request_exception=False)
EXAMPLES = settings(
    max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def key(bob: User) -> str:
    return keys.make_key(bob)[1]


def send(case: Case, key: str, kind: str = "application/json") -> Any:
    """There is no such model: what is well formed ends there, and no engine is needed."""
    return CLIENT.generic(
        case.method,
        case.address,
        case.data("none"),
        content_type=kind,
        headers={"Authorization": f"Bearer {key}"},
    )


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.id)
def test_it_works(told: Told, key: str) -> None:
    seen: set[int] = set()

    @EXAMPLES
    @given(st.data())
    def check(data: DataObject) -> None:
        case = data.draw(CASES[told.path, told.method])
        answer = send(case, key)
        seen.add(answer.status_code)
        assert answer.status_code < 500, (case, answer.content)
        if answer.status_code >= 400:
            Error.model_validate(answer.json())

    check()
    if told.body and "{" not in told.path:
        # What cannot be read was made as well as what is right but for its model.
        assert seen >= {400, 404}, seen


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.id)
def test_other_methods_are_refused_politely(told: Told, key: str) -> None:
    path = told.path.replace("{", "").replace("}", "")
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "BREW"):
        answer = send(Case(method, path, {}, {}), key)
        assert answer.status_code < 500, (method, answer.content)


@pytest.mark.parametrize("told", [each for each in TOLD if each.body], ids=lambda told: told.id)
def test_other_kinds_of_content_are_read_or_refused(told: Told, key: str) -> None:
    path = told.path.replace("{", "").replace("}", "")
    for kind in ("", "text/plain", "multipart/form-data; boundary=x", "x; charset=nonsense"):
        answer = send(Case("POST", path, {}, b"--x\r\n\xff"), key, kind)
        assert 400 <= answer.status_code < 500, (kind, answer.content)


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.id)
def test_null_characters_are_no_error(told: Told, key: str) -> None:
    """PostgreSQL takes none in a text."""
    path = told.path.replace("{id}", "%00").replace("{name}", "%00")
    for name in ("model", "after", "metadata[%00]", "include"):
        answer = CLIENT.generic(
            told.method.upper(), f"{path}?{name}=%00", headers={"Authorization": f"Bearer {key}"}
        )
        assert answer.status_code < 500, (name, answer.content)


@pytest.mark.parametrize("path", ["/v1/models/%0A", "/v1/%0Ax", "/v1/a%2Fb", "/v1/%00", "/v1//"])
def test_a_program_gets_no_page(path: str, key: str) -> None:
    answer = CLIENT.get(path, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 404
    Error.model_validate(answer.json())
