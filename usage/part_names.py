"""Names that a part of them is written for: found where each name is kept a few times, so that records are only asked
for whole names, which their indexes hold.
"""

from dataclasses import dataclass
from typing import Final

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts.models import User, VirtualAccount
from usage.models import UsageRecord, UsageSum
from usage.sums_table import MODELS, NEW

MOST_NAMES: Final = 50
SEARCHED: Final = ("account", "model_asked", "subject_name")
"""The columns of records that are searched by a part of a name, and the parameters of the list."""


@dataclass(frozen=True, slots=True)
class Named:
    """The ``names`` in a ``column`` that ``text`` matches; ``more``: there are others, which were left out."""

    column: str
    text: str
    names: tuple[str, ...]
    more: bool = False

    @property
    def condition(self) -> Q:
        """The condition for records of any of the names."""
        return Q(**{f"{self.column}__in": self.names})


def named(column: str, text: str) -> Named:
    """Return what ``text`` matches: a name that records have, whole, or else all names that it is a part of, in
    any case of its letters.
    """
    if UsageRecord.objects.filter(**{column: text}).exists():
        return Named(column, text, (text,))
    found = sorted(set(_containing(column, text)))
    return Named(column, text, (text, *found[:MOST_NAMES]), more=len(found) > MOST_NAMES)


def asked(request: HttpRequest, column: str) -> Named | None:
    """Return what the list's address asks for in a column; looked up once a request."""
    kept: dict[str, Named] = request.__dict__.setdefault("_named", {})
    text = request.GET.get(column, "").strip()
    if text and (column not in kept or kept[column].text != text):
        kept[column] = named(column, text)
    return kept[column] if text else None


def _containing(column: str, text: str) -> list[str]:
    if column == "subject_name":
        people = User.objects.filter(email__icontains=text).order_by("email").values_list("email", flat=True)
        applications = VirtualAccount.objects.filter(name__icontains=text).order_by("name")
        return [*people[: MOST_NAMES + 1], *applications.values_list("name", flat=True)[: MOST_NAMES + 1]]
    if column == "account":
        return list(_summed("account", text))
    full = list(_summed("model", text))
    # Records of bare names, sent with the account's header, have them as they were sent.
    bare = [name.partition("/")[2] for name in full]
    return [*full, *(name for name in bare if name and text.lower() in name.lower())]


def _summed(column: str, text: str) -> "QuerySet[UsageSum, str]":
    """Return names that something was ever summed for, by the day or since the last folding."""
    rows = UsageSum.objects.filter(Q(part=MODELS.days) | Q(part=NEW), **{f"{column}__icontains": text})
    return rows.order_by(column).values_list(column, flat=True).distinct()[: MOST_NAMES + 1]
