"""The front door (hosts, cookies) and the gate (nobody without login). No rules of single pages."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.loader import get_template
from django.urls import reverse
from django.utils import translation
from django.utils.decorators import sync_and_async_middleware
from django.utils.safestring import mark_safe

from chatsite.accounts.models import User

HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
Handler = Callable[[HttpRequest], HttpResponseBase]
# A person with a password that somebody else knows gets no further than these.
BEFORE_PASSWORD = frozenset({"password", "settings-language", "logout"})


@sync_and_async_middleware
def front_door(get_response: Handler) -> Handler:
    """Outermost: answers foreign hosts itself, before any other code trusts the Host header."""
    if iscoroutinefunction(get_response):

        async def door(request: HttpRequest) -> HttpResponseBase:
            handler = cast("Callable[[HttpRequest], Awaitable[HttpResponseBase]]", get_response)
            return refuse_host(request) or secure_cookies(request, await handler(request))

        return cast("Handler", door)
    return lambda request: refuse_host(request) or secure_cookies(request, get_response(request))


def refuse_host(request: HttpRequest) -> HttpResponse | None:
    try:
        request.get_host()
    except DisallowedHost:
        return foreign_host(request)
    return None


def foreign_host(request: HttpRequest) -> HttpResponse:
    """Says which host was asked for and what to set; needs neither static files nor a session."""
    asked = request.META.get("HTTP_HOST", "")[:200]
    # What is no host at all (an attack, not a typo) gets no advice.
    name = re.sub(r":\d+$", "", asked) if HOST.fullmatch(asked) else ""
    style = host_style()
    page = get_template("accounts/host.html").render(
        {"asked": asked, "name": name, "style": mark_safe(style)}  # noqa: S308 - our file
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    return HttpResponse(page, status=400, headers=headers)


@cache
def host_style() -> str:
    return (Path(settings.BASE_DIR) / "templates/accounts/host.css").read_text()


def secure_cookies(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Cookies of an https request never travel over http; on a plain LAN address they must."""
    if request.is_secure():
        response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        for cookie in response.cookies.values():
            cookie["secure"] = True
    return response


class Gate(LoginRequiredMiddleware):
    """Every view needs a login unless marked public; pages speak their reader's language."""

    def process_view(
        self, request: HttpRequest, view_func: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        user = request.user
        if isinstance(user, User) and user.is_authenticated:
            speak(request, user.language)
            if user.must_change_password and getattr(view_func, "login_required", True):
                return self.ask_password(request)
            return None
        if not getattr(view_func, "login_required", True):
            return None
        return self.turn_away(request)

    def ask_password(self, request: HttpRequest) -> HttpResponseBase | None:
        match = request.resolver_match
        if match and match.url_name in BEFORE_PASSWORD:
            return None
        address = reverse("password")
        return answer_script(address, 403) if is_script(request) else redirect(address)

    def turn_away(self, request: HttpRequest) -> HttpResponseBase:
        if not User.objects.exists():
            setup = reverse("setup")
            return answer_script(setup, 401) if is_script(request) else redirect(setup)
        if is_script(request):
            return answer_script(login_address(request), 401)
        wanted = request.get_full_path() if request.method == "GET" else "/"
        return redirect_to_login(wanted, reverse("login"))


def speak(request: HttpRequest, language: str) -> None:
    """A person's own choice goes before what the browser asks for."""
    if language in dict(settings.LANGUAGES):
        translation.activate(language)
        request.LANGUAGE_CODE = language


def is_script(request: HttpRequest) -> bool:
    """Asked by a script: a whole login page would end up inside a fragment of the open page."""
    mode = request.headers.get("Sec-Fetch-Mode", "navigate")
    wants_json = "application/json" in request.headers.get("Accept", "")
    return bool(request.headers.get("HX-Request")) or mode != "navigate" or wants_json


def login_address(request: HttpRequest) -> str:
    """Back to the page that the person sees, not to the fragment."""
    page = urlsplit(request.headers.get("HX-Current-URL", ""))
    target = redirect_to_login(page.path or "/", reverse("login"))
    return target.url


def answer_script(address: str, status: int) -> HttpResponse:
    return HttpResponse(status=status, headers={"HX-Redirect": address})
