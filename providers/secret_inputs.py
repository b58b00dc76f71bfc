"""Inputs for secrets, which show nothing of what is stored; and what may be said of that."""

from typing import Any

from django import forms
from fernet_fields import DecryptionError
from unfold.widgets import UnfoldAdminExpandableTextareaWidget, UnfoldAdminPasswordWidget

from providers.models import ProviderAccount


class WriteOnlyTextarea(UnfoldAdminExpandableTextareaWidget):
    """A text area that never shows what was entered, like an input for passwords."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, None, attrs)
        return context


def secret_input() -> forms.Widget:
    """Return the input for a secret of one line."""
    widget: forms.Widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password", "spellcheck": "false"})
    return widget


def stored_key(account: ProviderAccount) -> bool | None:
    """Whether a key or other credentials are stored for ``account``; ``None`` when that can't be decrypted."""
    try:
        return bool(account.credentials)
    except DecryptionError:
        return None


def stored_key_names(account: ProviderAccount) -> list[str]:
    """Return the names of the stored keys; none when they can't be decrypted."""
    try:
        return list(account.keys)
    except DecryptionError:
        return []


def stored_header_names(account: ProviderAccount) -> list[str] | None:
    """Return the names of the stored extra headers; ``None`` when they can't be decrypted."""
    try:
        return list(account.extra_headers)
    except DecryptionError:
        return None
