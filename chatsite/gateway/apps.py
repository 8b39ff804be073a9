"""The registration of this room with Django."""

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "chatsite.gateway"
