"""Rows by name, for the commands."""

from typing import TypeVar

from django.core.management.base import CommandError

from alerts.models import Alert, Channel

Row = TypeVar("Row", Alert, Channel)


def find(rows: type[Row], name: str) -> Row:
    """Return the row of that name. Raises ``CommandError``, which lists those that exist."""
    row: Row | None = rows.objects.filter(name=name).first()
    if row is None:
        names = ", ".join(rows.objects.values_list("name", flat=True)) or "none"
        raise CommandError(f"The {rows._meta.verbose_name} {name!r} does not exist. Valid values: {names}.")
    return row
