"""The registration of this room with Django."""

from django.apps import AppConfig


class CatalogueConfig(AppConfig):
    name = "chatsite.catalogue"
