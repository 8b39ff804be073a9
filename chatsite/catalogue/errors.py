"""What can be refused in this room, each with a stable kind and words for the admin."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Refused(Exception):
    """A rule of the catalogue said no. `text` is what the admin reads."""

    kind = "refused"
    text: str | Promise = _("This is not possible.")


class NameTakenError(Refused):
    kind = "name_taken"
    text = _("There is a provider with this name already.")


class AddressError(Refused):
    kind = "remote_address"
    text = _("This is no address of a provider. It looks like https://api.example.com/v1")


class KeyNeededError(Refused):
    kind = "key_needed"
    text = _("The address is another one now: enter the key for it.")


class ModelNameTakenError(Refused):
    kind = "model_name_taken"
    text = _("Another model has this name.")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
