"""Changing one's own password."""

from __future__ import annotations

from django.test import Client

from chatsite.accounts.models import User

OLD, NEW = "violet-harbour-7", "amber-window-31"
FORM = {"current": OLD, "password": NEW, "repeat": NEW}


def test_it_works(bob: User, bob_client: Client) -> None:
    response = bob_client.post("/settings/password", FORM, follow=True)
    assert "Your password is changed" in response.content.decode()
    bob.refresh_from_db()
    assert bob.check_password(NEW)
    assert bob_client.get("/settings/").status_code == 200


def test_it_wants_the_old_one(bob: User, bob_client: Client) -> None:
    response = bob_client.post("/settings/password", {**FORM, "current": "wrong"})
    assert "not your current password" in response.content.decode()
    bob.refresh_from_db()
    assert bob.check_password(OLD)


def test_it_refuses_a_weak_one(bob: User, bob_client: Client) -> None:
    for weak in ("short", "password", "bob"):
        bob_client.post("/settings/password", {"current": OLD, "password": weak, "repeat": weak})
    bob.refresh_from_db()
    assert bob.check_password(OLD)


def test_a_handed_over_password_is_changed_first(bob: User, bob_client: Client) -> None:
    bob.must_change_password = True
    bob.save()
    assert bob_client.get("/settings/").headers["Location"] == "/settings/password"
    fragment = bob_client.get("/settings/", headers={"HX-Request": "true"})
    assert (fragment.status_code, fragment.headers["HX-Redirect"]) == (403, "/settings/password")
    assert bob_client.post("/settings/password", FORM).headers["Location"] == "/"
    assert bob_client.get("/settings/").status_code == 200


def test_it_is_hashed_with_argon2() -> None:
    from chatsite import settings

    assert settings.PASSWORD_HASHERS[0].endswith("Argon2PasswordHasher")
