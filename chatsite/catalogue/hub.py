"""Where models are looked for, as the admin set it; the one writer of that. It asks nobody."""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.db import transaction

from chatsite.catalogue.errors import HostError, HubAddressError, TokenNeededError
from chatsite.catalogue.models import HubSettings
from chatsite.gateway import upstream
from chatsite.gateway.library import Hub
from chatsite.gateway.upstream import LockedError, Permit, Trouble

USUAL = Hub().endpoint
# Of this host, of all below it (".example.com"), or at another port.
HOST = re.compile(r"(?=.{1,253}$)(?:\*?\.)?[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)*(?::\d{1,5})?")
MOST_HOSTS = 50


def told() -> Hub:
    """As a worker is told of it."""
    row = HubSettings.current()
    return Hub(row.endpoint or USUAL, row.permit, tuple(row.hosts))


def nobody() -> Hub:
    """For what needs no network: no token travels with it."""
    return Hub()


def has_token() -> bool:
    permit = _permit(HubSettings.current())
    return bool(permit and permit.key)


@transaction.atomic
def change(endpoint: str, hosts: Sequence[str], token: str | None = None) -> HubSettings:
    """`endpoint` "": the usual one. `token` None keeps the one that is there, "" removes it.

    Refused with HubAddressError, HostError, or TokenNeededError: a token is shown to no hub for
    which it was not entered."""
    row, _made = HubSettings.objects.select_for_update().get_or_create(pk=1)
    before = _permit(row)
    url, origin = _address(endpoint.strip() or USUAL)
    if token is None:
        if before and before.key and upstream.origin(before.base_url) != origin:
            raise TokenNeededError
        token = before.key if before else ""
    row.endpoint = "" if url == _address(USUAL)[0] else url
    row.hosts = _hosts(hosts)
    row.permit = upstream.seal(Permit(url, True, token.strip())) if token.strip() else ""
    row.save()
    return row


def _address(text: str) -> tuple[str, str]:
    try:
        return upstream.normalize(text), upstream.origin(text)
    except Trouble:
        raise HubAddressError from None


def _hosts(given: Sequence[str]) -> list[str]:
    names = sorted({name.strip().lower() for name in given if name.strip()})
    for name in names:
        if not HOST.fullmatch(name):
            raise HostError(name)
    if len(names) > MOST_HOSTS:
        raise HostError(names[MOST_HOSTS])
    return names


def _permit(row: HubSettings) -> Permit | None:
    """None where there is none, or where the site's secret is another one by now."""
    try:
        return upstream.unseal(row.permit) if row.permit else None
    except LockedError:
        return None
