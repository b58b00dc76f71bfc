"""Subjects that access is given to, as rows of roles and of narrowed models name them."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from accounts.changes import Announced
from accounts.models import Team, User, VirtualAccount


class Subject(Announced):
    """Abstract: a subject that access is given to: a user, a team, a virtual account, or everyone (all users)."""

    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="+")
    team = models.ForeignKey(Team, models.CASCADE, null=True, blank=True, related_name="+")
    virtual_account = models.ForeignKey(VirtualAccount, models.CASCADE, null=True, blank=True, related_name="+")
    everyone = models.BooleanField(default=False, help_text="All users. Virtual accounts are granted one by one.")
    key = models.CharField(
        max_length=40,
        editable=False,
        help_text="user:7, team:3, virtualaccount:2 or everyone; made from the columns above.",
    )

    class Meta:
        abstract = True

    def subject_key(self) -> str:
        """Return the subject as the directory names it: ``user:7``, ``team:3``, ``virtualaccount:2`` or
        ``everyone``.
        """
        if self.everyone:
            return "everyone"
        if self.user_id:
            return f"user:{self.user_id}"
        if self.team_id:
            return f"team:{self.team_id}"
        return f"virtualaccount:{self.virtual_account_id}"

    def clean(self) -> None:
        given = [bool(self.user_id), bool(self.team_id), bool(self.virtual_account_id), self.everyone]
        if sum(given) != 1:
            raise ValidationError("Choose exactly one: a user, a team, a virtual account, or everyone.")
        self.key = self.subject_key()

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.key = self.subject_key()
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        if self.everyone:
            return "everyone"
        return str(self.user or self.team or self.virtual_account)


def one_subject(prefix: str) -> models.CheckConstraint:
    """Return the constraint that a subject row names exactly one subject."""
    columns = ("user", "team", "virtual_account")
    condition = models.Q()
    for chosen in (*columns, "everyone"):
        row = {f"{column}__isnull": column != chosen for column in columns}
        condition |= models.Q(everyone=chosen == "everyone", **row)
    return models.CheckConstraint(name=f"{prefix}_names_one_subject", condition=condition)
