"""The registration of this room with Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "chatsite.accounts"
    verbose_name = _("Users")

    def ready(self) -> None:
        # Connects the receivers; models are not loaded before this point.
        from chatsite.accounts import signals  # noqa: F401
