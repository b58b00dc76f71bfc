"""What the tokens of a person or an application cost within a week, from the sums."""

from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from usage import spend as figures
from usage import words

SPEND_HOURS: Final = 168


def token_sums(subject_type: str, name: str) -> dict[str, figures.Totals]:
    """Return the sums of the last days by the tokens' beginnings."""
    subject = Q(subject_type=subject_type, subject_name=name)
    own = figures.narrowed(figures.ALL, subject, "subject_type", "subject_name")
    return figures.sums_by(figures.last(SPEND_HOURS, timezone.now()), "token", own)


def token_spend(owner: Any) -> dict[str, tuple[str, str]]:
    """Return, by the tokens' beginnings, what they cost: rounded, and exact."""
    kind, name = ("user", owner.email) if isinstance(owner, User) else ("virtualaccount", owner.name)
    return {
        prefix: (words.short_money(sums.cost), words.money(sums.cost))
        for prefix, sums in token_sums(kind, name).items()
    }
