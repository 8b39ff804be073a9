"""Who calls: the one authentication of every header form and every dialect of the API.

Sessions count for nothing here, so a page in somebody's browser can do nothing in their name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port

from chatsite.accounts import keys
from chatsite.accounts.models import ApiKey, User
from chatsite.api import errors
from chatsite.catalogue import actions as catalogue
from chatsite.catalogue import aliases
from chatsite.catalogue.models import Model
from chatsite.hosts import LOOPBACK

# What a proxy adds: then the loopback address is the proxy's and not the caller's.
PROXIED = ("Forwarded", "X-Real-IP", "Via")


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose account a call goes. `key` is None for the owner of this machine without one."""

    user: User
    key: ApiKey | None = None

    def models(self, names: Sequence[str] | None = None) -> list[Model]:
        """The models that this caller may use: the person's, and of these what the key opens; with
        `names` only those that are called so."""
        usable = catalogue.usable_models(self.user, names)
        allowed = set(self.key.allowed) if self.key else set()
        return [model for model in usable if not allowed or allowed & aliases.names_of(model)]

    def model(self, name: str) -> Model:
        """By its name or by another that an admin gave it."""
        found = aliases.pick(self.models([name]), [name])
        if found is None:
            raise errors.unknown_model(name)
        return found


def identify(request: HttpRequest) -> Caller:
    """The caller of this request, or the error that they get."""
    given = tokens(request)
    ours = {token for token in given if token.startswith(keys.MARK)}
    if len(ours) > 1:
        raise errors.wrong_key()
    if ours:
        return holder(ours.pop())
    if is_local(request):
        return owner()
    raise errors.wrong_key() if given else errors.no_key()


def holder(token: str) -> Caller:
    key = keys.find_key(token)
    if key is None:
        raise errors.wrong_key()
    if not key.user.is_active:
        raise errors.disabled_account()
    keys.note_use(key)
    return Caller(key.user, key)


def owner() -> Caller:
    """The first admin, to whom this machine belongs."""
    admin = User.objects.filter(is_staff=True, is_active=True).order_by("pk").first()
    if admin is None:
        message = "This site has no account yet. Open /setup in a browser to make the first one."
        raise errors.ApiError(401, "not_set_up", message, headers=errors.CHALLENGE)
    return Caller(admin)


def tokens(request: HttpRequest) -> set[str]:
    """Every key that the headers carry, whatever their form."""
    scheme, _, rest = request.headers.get("Authorization", "").strip().partition(" ")
    bearer = rest.strip() if scheme.lower() == "bearer" else f"{scheme} {rest}".strip()
    others = (request.headers.get(name, "").strip() for name in ("X-Api-Key", "Api-Key"))
    return {token for token in (bearer, *others) if token}


def is_local(request: HttpRequest) -> bool:
    """Whether a program on this machine asks, and no page of a browser does (R14, R18)."""
    if not settings.CHATSITE_LOCAL_OWNER or not from_loopback(request):
        return False
    origin = request.headers.get("Origin")
    own_page = origin is None or origin.lower() == f"http://{request.get_host().lower()}"
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    return not is_proxied(request) and own_page and site == "same-origin"


def is_proxied(request: HttpRequest) -> bool:
    return any(name in request.headers for name in PROXIED) or any(
        name.lower().startswith("x-forwarded") for name in request.headers
    )


def from_loopback(request: HttpRequest) -> bool:
    domain, _port = split_domain_port(request.get_host())
    try:
        return domain in LOOPBACK and ip_address(request.META["REMOTE_ADDR"]).is_loopback
    except (KeyError, ValueError):
        return False
