"""The registration of this room with Django."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CatalogueConfig(AppConfig):
    name = "chatsite.catalogue"
    verbose_name = _("Models")
