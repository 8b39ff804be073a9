"""The registration of this room with Django."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "chatsite.accounts"
