"""What is sealed can be read and made by those alone who know the site's secret."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from inference.remote.permit import LockedError, Permit, find_secret, seal, unseal

PERMIT = Permit("https://api.example.com/v1", inside=False, key="sk-1234")


def test_it_works() -> None:
    sealed = seal(PERMIT, "secret")
    assert unseal(sealed, "secret") == PERMIT
    assert "sk-1234" not in sealed
    assert "example" not in sealed


def test_the_key_is_in_no_print() -> None:
    assert "sk-1234" not in f"{PERMIT!r} {PERMIT}"


@pytest.mark.parametrize("how", ["other secret", "changed", "made up", "empty", "no text"])
def test_nothing_else_opens(how: str) -> None:
    sealed = seal(PERMIT, "secret")
    secret = "another" if how == "other secret" else "secret"
    text = {
        "changed": sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:],
        "made up": Fernet(Fernet.generate_key()).encrypt(b"{}").decode(),
        "empty": "",
        "no text": "é",
    }.get(how, sealed)
    with pytest.raises(LockedError):
        unseal(text, secret)


def test_it_is_bound_to_its_purpose() -> None:
    """The secret itself signs sessions: a token made with it for something else opens nothing."""
    derived = HKDF(SHA256(), length=32, salt=None, info=b"something else").derive(b"secret")
    other = Fernet(base64.urlsafe_b64encode(derived)).encrypt(b'{"base_url": "https://evil"}')
    with pytest.raises(LockedError):
        unseal(other.decode(), "secret")
    with pytest.raises(LockedError):
        seal(PERMIT, "")


def test_where_a_worker_finds_the_secret(tmp_path: Path) -> None:
    assert find_secret({"CHATSITE_SECRET_KEY": "x"}) == "x"
    (tmp_path / "named").write_text("from a file\n")
    named = {"CHATSITE_SECRET_KEY_FILE": str(tmp_path / "named")}
    assert find_secret({"CHATSITE_SECRET_KEY": "x", **named}) == "from a file"
    (tmp_path / "secret_key").write_text("made at the first start\n")
    assert find_secret({"CHATSITE_DATA_DIR": str(tmp_path)}) == "made at the first start"
    with pytest.raises(LockedError):
        find_secret({"CHATSITE_DATA_DIR": str(tmp_path / "nowhere")})
    with pytest.raises(LockedError):
        find_secret({"CHATSITE_SECRET_KEY_FILE": str(tmp_path / "nowhere")})
