"""The registration of this room with Django."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "chatsite.accounts"

    def ready(self) -> None:
        # Connects the receivers; models are not loaded before this point.
        from chatsite.accounts import signals  # noqa: F401
