"""What people type about accounts, checked. Forms read rows and never write them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.contrib.auth.forms import AuthenticationForm, UsernameField
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from chatsite.accounts.models import SiteSettings, User

# Django's Chinese words speak of English letters, but a name may be written in any script.
WRONG_NAME = _("A name has letters, digits and . + - _ @ only, and no spaces.")


class PlainForm(forms.Form):
    """Inputs in the product's look."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", "input")


class LoginForm(AuthenticationForm):
    """Django's own, with our words and one answer for wrong and for disabled."""

    error_messages = {
        "invalid_login": _("This name and password do not go together."),
        "inactive": _("This name and password do not go together."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("Name")
        for field in self.fields.values():
            field.widget.attrs["class"] = "input"


class UnusedName(UsernameField):
    """A name for a new account."""

    def __init__(self) -> None:
        super().__init__(
            label=_("Name"),
            max_length=150,
            validators=[UnicodeUsernameValidator(message=WRONG_NAME)],
            help_text=_("Letters, digits and . + - _ @"),
        )
        self.widget.attrs.update({"autocomplete": "username", "autofocus": True})

    def clean(self, value: Any) -> str:
        name: str = super().clean(value)
        if User.objects.filter(username__iexact=name).exists():
            raise forms.ValidationError(_("This name is taken."), code="name_taken")
        return name


def password_field(label: Any, autocomplete: str = "new-password", **kwargs: Any) -> Any:
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, widget=widget, strip=False, max_length=1024, **kwargs)


class NewPasswordForm(PlainForm):
    """A new password, typed twice."""

    password = password_field(_("Password"), help_text=_("At least 8 characters."))
    repeat = password_field(_("The same password again"))

    def person(self) -> User | None:
        return User(username=self.cleaned_data.get("username", ""))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        password, repeat = data.get("password"), data.get("repeat")
        if password and repeat and password != repeat:
            self.add_error("repeat", _("The two passwords are not the same."))
        if password:
            try:
                password_validation.validate_password(password, self.person())
            except forms.ValidationError as error:
                self.add_error("password", error)
        return data


class AccountForm(NewPasswordForm):
    """A new account of one's own."""

    username = UnusedName()
    field_order = ["username", "password", "repeat"]


class ChangePasswordForm(NewPasswordForm):
    """One's own password: the old one shows that it is not somebody at an open screen."""

    current = password_field(_("Current password"), autocomplete="current-password")
    field_order = ["current", "password", "repeat"]

    def __init__(self, person: User, *args: Any, **kwargs: Any) -> None:
        self._person = person
        super().__init__(*args, **kwargs)
        self.fields["password"].label = _("New password")
        self.fields["repeat"].label = _("The new password again")

    def person(self) -> User:
        return self._person

    def clean_current(self) -> str:
        current: str = self.cleaned_data["current"]
        if not self._person.check_password(current):
            raise forms.ValidationError(_("This is not your current password."), code="wrong")
        return current


class AddPersonForm(PlainForm):
    """An account that the admin makes for somebody."""

    username = UnusedName()
    password = password_field(
        _("Password"), required=False, help_text=_("Leave it empty and a password is made.")
    )

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if password:
            person = User(username=self.cleaned_data.get("username", ""))
            password_validation.validate_password(password, person)
        return password


class PreferencesForm(PlainForm):
    """How the site looks to one person."""

    theme = forms.ChoiceField(choices=User.Theme.choices)


class PolicyForm(PlainForm):
    """Who may make an account."""

    sign_up = forms.ChoiceField(choices=SiteSettings.SignUp.choices)


class InvitationForm(PlainForm):
    """A new invitation link."""

    note = forms.CharField(
        label=_("For whom"),
        max_length=80,
        required=False,
        help_text=_("A note for you; guests do not see it."),
    )
    days = forms.TypedChoiceField(
        label=_("Works for"),
        coerce=int,
        choices=[("1", _("one day")), ("7", _("one week")), ("30", _("one month"))],
        initial="7",
    )
    max_uses = forms.IntegerField(label=_("Accounts"), min_value=1, max_value=1000, initial=1)


class GroupForm(PlainForm):
    """What a group is called."""

    name = forms.CharField(
        label=pgettext_lazy("of a thing", "Name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class KeyForm(PlainForm):
    """A new API key: what it is for, how long it works, what it opens."""

    name = forms.CharField(
        label=pgettext_lazy("of a thing", "Name"),
        max_length=80,
        help_text=_("What will use it, so that you know it again: laptop, notebook, editor."),
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
    )
    term = forms.ChoiceField(
        label=_("Works"),
        required=False,
        choices=[
            ("", _("until I revoke it")),
            ("7", _("for one week")),
            ("30", _("for one month")),
            ("90", _("for three months")),
            ("365", _("for one year")),
            ("date", _("until a day that I choose")),
        ],
    )
    last_day = forms.DateField(
        label=_("Last day"),
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )
    scope = forms.ChoiceField(
        choices=[("all", _("All models")), ("some", _("Only some"))], initial="all"
    )

    def __init__(self, names: list[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["models"] = forms.MultipleChoiceField(
            label=_("Models"),
            required=False,
            choices=[(name, name) for name in names],
            widget=forms.CheckboxSelectMultiple,
        )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("term") != "date":
            # The field is out of sight then.
            self.errors.pop("last_day", None)
        elif "last_day" not in self.errors:
            self.check_day(data.get("last_day"))
        # None at all would mean every model: never what somebody who limits a key meant.
        if data.get("scope") == "some" and not data.get("models") and "models" not in self.errors:
            self.add_error("models", _("Choose at least one model."))
        return data

    def check_day(self, day: date | None) -> None:
        today = timezone.localdate()
        if day is None:
            self.add_error("last_day", _("Choose a day."))
        elif not today <= day <= today + timedelta(days=3660):
            self.add_error("last_day", _("Choose a day from today on, at most ten years ahead."))

    def expires_at(self) -> datetime | None:
        term: str = self.cleaned_data["term"]
        if term == "date":
            # The chosen day is the last one on which the key works.
            return timezone.make_aware(datetime.combine(self.cleaned_data["last_day"], time.max))
        return timezone.now() + timedelta(days=int(term)) if term else None

    def allowed(self) -> list[str]:
        names: list[str] = self.cleaned_data["models"]
        return names if self.cleaned_data["scope"] == "some" else []
