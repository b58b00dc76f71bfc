"""Which state of a row a form shows, so that a form that is out of date is not saved over another user's change.

A version is a string that a page carries: the number of the last audit entry at that moment, and a keyed digest of the
row's values, secrets included, which says nothing about them.
"""

import re
from typing import Any

from django.db import models
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.timesince import timesince

from accounts import audit
from accounts.audit import AuditEntry

VERSION = re.compile(r"([0-9]{1,18})\.([0-9a-f]{64})")
NAMED_CHANGES = 3


def version_of(model: type[models.Model], key: Any) -> str:
    """Return the version of the row with this primary key; empty when there is none."""
    last = AuditEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0
    digest = _digest(model, key)
    return f"{last}.{digest}" if digest else ""


def stale(model: type[models.Model], key: Any, version: str) -> str:
    """Say what changed since a form with ``version`` was opened, and who changed it; empty: nothing did."""
    match = VERSION.fullmatch(version)
    if match is None:
        return "This form does not say which state it was opened in."
    if constant_time_compare(match[2], _digest(model, key)):
        return ""
    since = AuditEntry.objects.filter(object_type=model._meta.label_lower, object_id=str(key), id__gt=int(match[1]))
    said = [f"{entry.sentence} ({timesince(entry.created_at)} ago)" for entry in since[:NAMED_CHANGES]]
    more = since.count() - len(said)
    what = "; ".join(said) + (f"; and {more} more" if more > 0 else "")
    return f"This was changed after you opened the form: {what or 'by another program'}."


def _digest(model: type[models.Model], key: Any) -> str:
    values = audit.row_values(model, key)
    if values is None:
        return ""
    shown = repr(sorted(values.items(), key=lambda item: item[0]))
    return salted_hmac("gatehouse.version", f"{model._meta.label_lower} {shown}", algorithm="sha256").hexdigest()
