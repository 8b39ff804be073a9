"""What can be refused in this room, each with a stable kind and words for the person."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class Refused(Exception):
    """A rule of the site said no. `text` is what the person reads."""

    kind = "refused"
    text: str | Promise = _("This is not possible.")


class AlreadySetUpError(Refused):
    kind = "already_set_up"
    text = _("This site already has an account. Please log in.")


class LastAdminError(Refused):
    kind = "last_admin"
    text = _("The site needs at least one active admin. Make somebody else an admin first.")


class YourselfError(Refused):
    kind = "yourself"
    text = _("You cannot do this to your own account. Ask another admin.")


class NameTakenError(Refused):
    kind = "name_taken"
    text = _("This name is taken.")


class InvitationError(Refused):
    kind = "invitation_unusable"
    text = _("This invitation does not work any more. Ask for a new one.")


class SignUpClosedError(Refused):
    kind = "sign_up_closed"
    text = _("Accounts on this site are made by its admin.")


class TooManyKeysError(Refused):
    kind = "too_many_keys"

    def __init__(self, limit: int) -> None:
        super().__init__()
        words = gettext(
            "You have %(limit)d keys that work, which is as many as there can be. "
            "Revoke one that you do not need any more."
        )
        self.text = words % {"limit": limit}


class GroupNameTakenError(Refused):
    kind = "group_name_taken"
    text = _("There is a group with this name already.")


class NobodyError(Refused):
    """`names`: of nobody; none where no name was given."""

    kind = "nobody"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names
        self.text = gettext("Enter the name of somebody who has an account here.")
        if names:
            words = gettext("Nobody here has this name: %(names)s")
            self.text = words % {"names": ", ".join(names)}


class GroupInUseError(Refused):
    """`names`: of what is open to this group."""

    kind = "group_in_use"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names
        words = gettext("First choose who else may use these models: %(names)s")
        self.text = words % {"names": ", ".join(names)}
