"""The registration of this room with Django: what it keeps for its callers has tables."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "chatsite.api"
