"""One office for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.office.office import Office


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = Office(tmp_path_factory.mktemp("office"))
    try:
        yield made.start()
        made.check_nothing_is_left()
    finally:
        made.remove()
