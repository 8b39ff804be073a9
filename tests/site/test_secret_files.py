"""Settings that lie in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatsite.secret_files import opened


def test_it_works(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("redis://:word@host/0\n")
    told = {"REDIS_URL_FILE": str(secret), "REDIS_URL": "redis://elsewhere", "PIP_FILE": "/nowhere"}
    assert opened(told) == {"REDIS_URL": "redis://:word@host/0"}
    assert opened({"CHATSITE_SLOTS_FILE": str(secret)}) == {
        "CHATSITE_SLOTS": "redis://:word@host/0"
    }


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit, match=f"DATABASE_URL_FILE names .*{path}"):
        opened({"DATABASE_URL_FILE": str(path)})
