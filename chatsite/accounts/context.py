"""What every page may know about the site and its reader."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language

from chatsite.accounts.models import SiteSettings, User

# Each language in its own words: who cannot read the page can still find theirs.
OWN_NAMES = {"en": "English", "zh-hans": "中文"}


def site(request: HttpRequest) -> dict[str, object]:
    """`theme`, `languages` (code and own name), `language_now`, `can_sign_up` (asked when used)."""
    return {
        # Error pages may come before the session, and then there is no user at all.
        "theme": getattr(getattr(request, "user", None), "theme", User.Theme.SYSTEM),
        "languages": [(code, OWN_NAMES.get(code, name)) for code, name in settings.LANGUAGES],
        "language_now": get_language(),
        "can_sign_up": can_sign_up,
    }


def can_sign_up() -> bool:
    return SiteSettings.current().sign_up == SiteSettings.SignUp.OPEN
