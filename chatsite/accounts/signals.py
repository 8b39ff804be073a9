"""Whatever takes rights from an account closes its open sockets: pages, Django's admin, shell."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_save
from django.dispatch import receiver
from django.http import HttpRequest

from chatsite.accounts import actions
from chatsite.accounts.models import User
from chatsite.gateway import notices

# What an open socket was allowed by. Losing one of these closes it.
WATCHED = ("is_active", "is_staff", "is_superuser", "password")


@receiver(pre_save, sender=User)
def compare(instance: User, update_fields: frozenset[str] | None, **_: Any) -> None:
    """Remember which rights the account is about to lose."""
    names = [name for name in WATCHED if update_fields is None or name in update_fields]
    old = User.objects.filter(pk=instance.pk).values(*WATCHED).first() if names else None
    changed = {n for n in names if old and old[n] != getattr(instance, n)}
    # Gaining a right closes nothing.
    instance.__dict__["_lost"] = {n for n in changed if n == "password" or (old and old[n])}


@receiver(post_save, sender=User)
def close_changed(instance: User, **_: Any) -> None:
    lost = instance.__dict__.pop("_lost", set())
    if "is_active" in lost:
        actions.end_sessions(instance)
    if lost:
        revoke(instance.pk)


@receiver(post_delete, sender=User)
def close_deleted(instance: User, **_: Any) -> None:
    revoke(instance.pk)


@receiver(user_logged_out)
def close_session(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None:
        revoke(user.pk, request.session.session_key)


def revoke(user_id: int, session_key: str | None = None) -> None:
    """After the commit: a socket that looks at the row again must find the new one."""
    transaction.on_commit(partial(notices.revoke, user_id, session_key))
