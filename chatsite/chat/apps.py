"""The registration of this room with Django."""

from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chatsite.chat"
