"""What is asked of a new password, where Django's own words are not there in each of our
languages."""

from __future__ import annotations

from django.contrib.auth.password_validation import MinimumLengthValidator
from django.utils.translation import ngettext


class LengthValidator(MinimumLengthValidator):
    """Django's rule, in words of ours: its own are left in English in Chinese pages."""

    def get_error_message(self) -> str:
        words = ngettext(
            "This password is too short. It needs at least %(length)d character.",
            "This password is too short. It needs at least %(length)d characters.",
            self.min_length,
        )
        return words % {"length": self.min_length}
