"""The registration of this room with Django."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MeteringConfig(AppConfig):
    name = "chatsite.metering"
    verbose_name = _("Usage and limits")
