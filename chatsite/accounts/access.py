"""Who may see a page beyond being logged in, which every page requires unless marked public."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeGuard, cast

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

from chatsite.accounts.models import User

View = Callable[..., HttpResponse]


def admin_only(view: View) -> View:
    """403 for everybody who is no admin at this moment: the row is read with every request."""

    @never_cache
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_staff:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return cast("View", checked)


def is_person(user: User | AnonymousUser) -> TypeGuard[User]:
    return user.is_authenticated


def person_of(request: HttpRequest) -> User:
    """The logged-in person; the gate has let nobody else through."""
    assert is_person(request.user)
    return request.user
