"""The registration of this room with Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CatalogueConfig(AppConfig):
    name = "chatsite.catalogue"
    verbose_name = _("Models")

    def ready(self) -> None:
        # Models are not loaded before this point.
        from chatsite.accounts import groups, offers
        from chatsite.catalogue import actions, audience

        offers.declare(actions.usable_names)
        groups.declare(audience.opened_by)
