"""What can be refused in this room, each with a stable kind and words for the admin."""

from __future__ import annotations

from uuid import UUID

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


class BadNameError(Refused):
    kind = "bad_name"
    text = _("A name has letters, digits and . _ - : / and no spaces, and at most 200 of them.")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class BadDefaultError(Refused):
    """`name`: of the parameter."""

    kind = "bad_default"
    text = _("This value is not possible.")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class AliasTakenError(Refused):
    kind = "alias_taken"
    text = _("Another model has this name or this alias.")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class UnderwayError(Refused):
    """`delivery`: the id of the one that is about the same, None where it has just ended."""

    kind = "underway"
    text = _("The same is under way already.")

    def __init__(self, delivery: UUID | None = None) -> None:
        super().__init__(delivery)
        self.delivery = delivery


class HereAlreadyError(Refused):
    """`model`: the name of the model that it is here."""

    kind = "here_already"
    text = _("This model is here already.")

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model


class NotHereError(Refused):
    kind = "not_here"
    text = _("The files of this model are not kept by this site, so they cannot be exported.")


class MachineGoneError(Refused):
    kind = "machine_gone"
    text = _("This machine does not answer, or cannot be used with this version of the site.")


class NoSourceError(Refused):
    kind = "no_source"
    text = _(
        "No machine that has these files can give them to others just now. It must answer, and be "
        "reachable from the others."
    )


class WrongStateError(Refused):
    kind = "wrong_state"
    text = _("It has moved on meanwhile, so this is not possible any more.")


class KeptError(Refused):
    kind = "kept"
    text = _("This model is kept loaded. Switch that off first.")


class SiteDownError(Refused):
    kind = "broker"
    text = _("The message broker does not answer. Is the site running?")


class PathError(Refused):
    kind = "path"
    text = _("Enter the whole path of a file or folder on the server, beginning with /")


class HubAddressError(Refused):
    kind = "hub_address"
    text = _("This is no address of a hub. It looks like https://huggingface.co")


class HostError(Refused):
    kind = "host"
    text = _("This is no name of a host. It looks like models.example.com")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class TokenNeededError(Refused):
    kind = "token_needed"
    text = _("The address is another one now: enter the token for it.")
