"""The registration of this room with Django."""

from django.apps import AppConfig


class StewardConfig(AppConfig):
    name = "chatsite.steward"
