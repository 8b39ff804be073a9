"""Login throttling: how axes sees names, and what a person who is locked out reads."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil
from typing import Any

from axes.attempts import get_cool_off_threshold
from axes.helpers import get_cool_off
from axes.models import AccessAttempt
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone


def name(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """One name whatever its case, or every spelling would have attempts of its own."""
    given = (credentials or {}).get("username") or request.POST.get("username") or ""
    return str(given).strip().lower()[:150]


def locked(
    request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any] | None
) -> HttpResponse:
    left = (unlocks_at(request, credentials) - timezone.now()).total_seconds()
    context = {"minutes": max(1, ceil(left / 60))}
    page = render(request, "accounts/locked.html", context, status=429)
    page["Retry-After"] = str(max(1, ceil(left)))
    return page


def unlocks_at(request: HttpRequest, credentials: dict[str, Any] | None) -> datetime:
    last = (
        AccessAttempt.objects.filter(
            username=name(request, credentials),
            ip_address=request.META.get("REMOTE_ADDR"),
            attempt_time__gte=get_cool_off_threshold(request),
        )
        .order_by("-attempt_time")
        .first()
    )
    cool_off = get_cool_off(request) or timedelta(0)
    return (last.attempt_time if last else timezone.now()) + cool_off
