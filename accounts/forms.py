"""The console's forms for users, virtual accounts and tokens."""

from datetime import time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.forms import UserCreationForm as UnfoldUserCreationForm
from unfold.widgets import UnfoldAdminSplitDateTimeWidget

from accounts.fields import LinesField, PairsField
from accounts.models import ApiToken, User, VirtualAccount

TOKEN_LIMITS_HELP = (
    "One account or account/model a line, for example openai-main or gemini/gemini-2.5-pro. "
    "The token then works for these only, among what its owner may call. Empty: no limit."
)


class UserCreationForm(UnfoldUserCreationForm):
    """Adds a user by e-mail address, with a password or without one."""

    class Meta:
        model = User
        fields = ("email",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["usable_password"].label = "Sign-in"
        self.fields["usable_password"].help_text = "Disabled: no sign-in with a password; tokens work all the same."


class UserChangeForm(forms.ModelForm):
    """Edits a user; refuses to leave the installation without a superuser."""

    class Meta:
        model = User
        fields = ("email", "first_name", "last_name", "is_active", "is_staff", "is_superuser", "is_auditor")
        help_texts = {
            "is_active": "Off: no sign-in, and no call with any of their tokens.",
            "is_staff": "May enter this console without managing anything, to make tokens of their own.",
            "is_superuser": "Sees and may do everything, in this console and in calls.",
            "is_auditor": "Sees everything in this console and changes nothing, whatever other roles they have.",
        }

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        stays = cleaned.get("is_superuser", True) and cleaned.get("is_active", True)
        others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=self.instance.pk)
        if self.initial.get("is_superuser") and self.initial.get("is_active") and not stays and not others.exists():
            raise ValidationError("This is the last active superuser. Make another one first.")
        if cleaned.get("is_superuser") and cleaned.get("is_auditor"):
            raise ValidationError({"is_auditor": "A superuser changes things: choose one of the two."})
        return cleaned


class VirtualAccountForm(forms.ModelForm):
    """Edits a virtual account, its tags as lines."""

    tags = PairsField(
        required=False,
        help_text="Metadata written on every call, over what the caller sends: one 'name: value' a line.",
    )

    class Meta:
        model = VirtualAccount
        fields = ("name", "display_name", "description", "team", "enabled", "tags")


class ExpiryField(forms.SplitDateTimeField):
    """A day and a time of day, in UTC. A day alone means its end."""

    widget = UnfoldAdminSplitDateTimeWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(require_all_fields=False, required=False, **kwargs)
        self.fields[1].required = False

    def compress(self, data_list: Any) -> Any:
        day: Any
        hour: Any
        day, hour = data_list or (None, None)
        if day in self.empty_values:
            if hour not in self.empty_values:
                raise ValidationError("Give the day, too.")
            return None
        whole_day = hour in self.empty_values
        moment = super().compress((day, time() if whole_day else hour))
        return moment + timedelta(days=1) if moment and whole_day else moment


class TokenForm(forms.ModelForm):
    """Adds or edits a token. ``person``, set by the admin, owns a token that names no one else."""

    person: User
    limits = LinesField(required=False, help_text=TOKEN_LIMITS_HELP)
    expires_at = ExpiryField(
        label="Expiry", help_text="In UTC. A date alone means the end of that day; empty: the token does not expire."
    )

    class Meta:
        model = ApiToken
        fields = ("name", "user", "virtual_account", "expires_at", "limits")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.pk is None:
            self._choose_subject(cleaned)
        expires = cleaned.get("expires_at")
        if "expires_at" in self.changed_data and expires and expires <= timezone.now():
            self.add_error("expires_at", "This time has passed. To end a token now, revoke it.")
        return cleaned

    def _choose_subject(self, cleaned: dict[str, Any]) -> None:
        if cleaned.get("user") and cleaned.get("virtual_account"):
            raise ValidationError("A token belongs to a user or to a virtual account: choose one of them.")
        if not cleaned.get("user") and not cleaned.get("virtual_account"):
            cleaned["user"] = self.instance.user = self.person
