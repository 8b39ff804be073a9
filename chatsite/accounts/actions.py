"""The one writer of accounts, the sign-up policy and invitations."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from chatsite.accounts.errors import (
    AlreadySetUpError,
    InvitationError,
    LastAdminError,
    NameTakenError,
    SignUpClosedError,
    YourselfError,
)
from chatsite.accounts.models import Invitation, SiteSettings, User

# Read aloud and typed from a sheet of paper: nothing that looks like something else.
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def lock_site() -> SiteSettings:
    """Hold the one row until the transaction ends: who is admin changes one decision at a time."""
    row, _made = SiteSettings.objects.select_for_update().get_or_create(pk=1)
    return row


@transaction.atomic
def set_up(username: str, password: str) -> User:
    """Make the first account, the admin's. Of several at the same moment one succeeds."""
    lock_site()
    # A statement of its own after the lock: it sees what the previous holder committed.
    if User.objects.exists():
        raise AlreadySetUpError
    return User.objects.create_superuser(username, password=password)


@transaction.atomic
def sign_up(username: str, password: str) -> User:
    if SiteSettings.current().sign_up != SiteSettings.SignUp.OPEN:
        raise SignUpClosedError
    return _create(username, password)


@transaction.atomic
def join(token: str, username: str, password: str) -> User:
    """Make an account with an invitation; the last place of a link goes to one person only."""
    if SiteSettings.current().sign_up == SiteSettings.SignUp.CLOSED:
        raise InvitationError
    links = Invitation.objects.usable().filter(token_hash=digest(token))
    if not links.update(used=F("used") + 1):
        raise InvitationError
    return _create(username, password)


def add_person(username: str, password: str = "") -> tuple[User, str]:
    """An account made by the admin, and the password to hand over; it must be changed at once."""
    password = password or make_password()
    return _create(username, password, must_change=True), password


def _create(username: str, password: str, must_change: bool = False) -> User:
    try:
        with transaction.atomic():
            return User.objects.create_user(
                username, password=password, must_change_password=must_change
            )
    except IntegrityError as error:
        raise NameTakenError from error


def make_password() -> str:
    """Twelve signs in three groups: about 59 random bits."""
    groups = ("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(3))
    return "-".join(groups)


def change_password(person: User, password: str) -> None:
    """The person's own choice. Other sessions end, since their check value is now another."""
    person.set_password(password)
    person.must_change_password = False
    person.save(update_fields=["password", "must_change_password"])


def reset_password(person: User, by: User) -> str:
    """A new password to hand over, shown to the admin once."""
    if person.pk == by.pk:
        raise YourselfError
    password = make_password()
    person.set_password(password)
    person.must_change_password = True
    person.save(update_fields=["password", "must_change_password"])
    return password


@transaction.atomic
def set_active(person: User, by: User, active: bool) -> None:
    lock_site()
    person.refresh_from_db()
    if not active and person.is_last_admin():
        raise LastAdminError
    if person.pk == by.pk:
        raise YourselfError
    person.is_active = active
    person.save(update_fields=["is_active"])


@transaction.atomic
def set_admin(person: User, admin: bool) -> None:
    lock_site()
    person.refresh_from_db()
    if not admin and person.is_last_admin():
        raise LastAdminError
    person.is_staff = person.is_superuser = admin
    person.save(update_fields=["is_staff", "is_superuser"])


@transaction.atomic
def delete_person(person: User, by: User) -> None:
    lock_site()
    if person.is_last_admin():
        raise LastAdminError
    if person.pk == by.pk:
        raise YourselfError
    person.delete()


def end_sessions(person: User) -> None:
    """Make every session of an account invalid for good."""
    User.objects.filter(pk=person.pk).update(session_epoch=F("session_epoch") + 1)


def set_preferences(person: User, **fields: str) -> None:
    for name, value in fields.items():
        setattr(person, name, value)
    person.save(update_fields=list(fields))


@transaction.atomic
def set_policy(sign_up: str) -> None:
    row = lock_site()
    row.sign_up = sign_up
    row.save(update_fields=["sign_up"])


def invite(by: User, days: int, max_uses: int, note: str = "") -> tuple[Invitation, str]:
    """A new invitation and its token, which is not kept and cannot be shown again."""
    token = secrets.token_urlsafe(24)
    invitation = Invitation.objects.create(
        token_hash=digest(token),
        note=note,
        created_by=by,
        expires_at=timezone.now() + timedelta(days=days),
        max_uses=max_uses,
    )
    return invitation, token


def revoke_invitation(pk: int) -> None:
    Invitation.objects.filter(pk=pk, revoked_at=None).update(revoked_at=timezone.now())


def find_invitation(token: str) -> Invitation | None:
    return Invitation.objects.usable().filter(token_hash=digest(token)).first()


def digest(token: str) -> str:
    """Tokens carry 192 random bits: a plain hash is enough."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
