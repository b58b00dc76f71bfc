"""Form fields for the short lists and tables that the console edits as lines of text instead of JSON."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminExpandableTextareaWidget


class LinesField(forms.CharField):
    """A list of strings, one a line. Empty lines are dropped; the value is a list."""

    widget = UnfoldAdminExpandableTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(str(entry) for entry in value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        return [line.strip() for line in (value or "").splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(initial) != self.to_python(data)


class PairsField(forms.CharField):
    """A table of strings, a ``name: value`` line each; the value is a dict. Names are unique."""

    widget = UnfoldAdminExpandableTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{name}: {text}" for name, text in value.items()) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, dict):
            return value
        pairs: dict[str, str] = {}
        for number, line in enumerate((value or "").splitlines(), start=1):
            if not line.strip():
                continue
            name, colon, text = line.partition(":")
            name = name.strip()
            # The line itself is not repeated: what comes after a forgotten colon may be a secret.
            if not colon or not name:
                raise ValidationError(f"Line {number} has no 'name: value' form.")
            if name in pairs:
                raise ValidationError(f"Line {number} names {name!r} a second time.")
            pairs[name] = text.strip()
        return pairs

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(initial) != self.to_python(data))
        except ValidationError:
            return True
