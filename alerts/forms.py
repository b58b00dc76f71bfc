"""The console's forms for channels and alerts. A channel's address and secret go in and never come out."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.fields import LinesField
from alerts.channels import CHANNELS, address_fault, secret_fault
from alerts.kinds import KINDS
from alerts.models import Alert, Channel
from providers.secret_inputs import secret_input

KEEPS = "Stored encrypted and never shown. Empty keeps what is stored."


class ChannelForm(forms.ModelForm):
    """Edits a channel. A secret belongs to an address: who enters another address enters the secret again."""

    kind = forms.ChoiceField(
        choices=[(name, kind.label) for name, kind in CHANNELS.items()], widget=UnfoldAdminSelectWidget
    )
    address = forms.CharField(
        required=False,
        max_length=2000,
        widget=secret_input(),
        help_text=f"{'; '.join(f'{kind.label}: {kind.address}' for kind in CHANNELS.values())}. {KEEPS}",
    )
    secret = forms.CharField(
        required=False,
        max_length=500,
        widget=secret_input(),
        help_text=f"{'; '.join(f'{kind.label}: {kind.secret}' for kind in CHANNELS.values() if kind.secret)}. {KEEPS}",
    )

    class Meta:
        model = Channel
        fields = ("name", "kind", "enabled")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        kind, row = cleaned.get("kind"), self.instance
        if not kind:
            return cleaned
        address, secret = cleaned.get("address", "").strip(), cleaned.get("secret", "").strip()
        moved = bool(address) or (row.pk is not None and kind != self.initial.get("kind"))
        if moved or row.pk is None:
            row.channel_address = address
            self._note("address", address_fault(kind, address))
        if moved or secret or row.pk is None:
            row.channel_secret = secret
            self._note("secret", secret_fault(kind, secret))
        return cleaned

    def _note(self, field: str, fault: str) -> None:
        if fault:
            self.add_error(field, fault[0].upper() + fault[1:])


class AlertForm(forms.ModelForm):
    """Edits an alert."""

    only = LinesField(
        required=False,
        help_text="One account, account/model or budget a line. Empty: all.",
    )
    channels = LinesField(required=False, help_text="One channel's name a line.")

    class Meta:
        model = Alert
        fields = (
            "name",
            "kind",
            "threshold",
            "minutes",
            "least_calls",
            "per",
            "only",
            "severity",
            "channels",
            "enabled",
            "silenced_until",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        units = "; ".join(f"{kind.label}: {kind.unit}, for example {kind.usual:g}" for kind in KINDS.values())
        if "threshold" in self.fields:  # not where the page is only to be read
            self.fields["threshold"].help_text = f"{units}."
