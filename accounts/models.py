"""Who may ask: users, teams, virtual accounts and their API tokens.

Every model here that decides about access is :class:`~accounts.changes.Announced`, so a change is in every worker's
snapshot within a second.
"""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from accounts import tokens
from accounts.audit import AuditEntry
from accounts.changes import Announced, AnnouncedQuerySet, Change
from accounts.invitations import Invitation
from accounts.token_limits import limits_fault

__all__ = ["ApiToken", "AuditEntry", "Change", "Invitation", "Membership", "Team", "User", "VirtualAccount"]

slug_validator = RegexValidator(
    r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$",
    "Use 1 to 64 lower-case letters, digits, dots, dashes or underscores; begin and end with a letter or digit.",
)
RESERVED_TEAM = "everyone"


class UserManager(BaseUserManager.from_queryset(AnnouncedQuerySet)):  # type: ignore[misc]
    """Makes users by e-mail address, which is kept in lower case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Make a user; without a password only tokens and single sign-on let them in."""
        user: User = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Make a user who may see and do everything."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, email: str | None) -> "User":
        found: User = self.get(email=(email or "").strip().lower())
        return found


class User(Announced, AbstractUser):
    """A person, known by e-mail address. Superusers see and may call everything; auditors see everything in the console
    and change nothing there."""

    username = None  # type: ignore[assignment]
    email = models.EmailField(unique=True)
    is_auditor = models.BooleanField("auditor", default=False, db_default=False)

    class Meta:
        verbose_name = "person"
        verbose_name_plural = "people"

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()  # type: ignore[misc,assignment]

    def clean(self) -> None:
        super().clean()
        self.email = self.email.strip().lower()

    def __str__(self) -> str:
        return self.email


class Team(Announced):
    """A group of users that accounts can be granted to. Managers may change its members."""

    name = models.CharField(max_length=64, unique=True, validators=[slug_validator])
    display_name = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    users = models.ManyToManyField(User, through="Membership", related_name="teams")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def clean(self) -> None:
        if self.name == RESERVED_TEAM:
            raise ValidationError({"name": "'everyone' already means all users; choose another name."})

    def audit_place(self) -> tuple[str, str]:
        return "", self.name

    def __str__(self) -> str:
        return self.name


class Membership(Announced):
    """A user's place in a team. Announced as the user, and as the one whose place it was: only their tokens change."""

    class Role(models.TextChoices):
        MEMBER = "member", "Member"
        MANAGER = "manager", "Manager"

    team = models.ForeignKey(Team, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role, default=Role.MEMBER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="one_membership_per_team")]

    announced_as = "accounts.user"
    announced_key = "user_id"
    audited_in_cascades = True

    def audit_name(self) -> str:
        return f"of {self.user} in team {self.team} ({self.role})"

    def audit_place(self) -> tuple[str, str]:
        return "", self.team.name

    def __str__(self) -> str:
        return f"{self.user} in {self.team} ({self.role})"


class VirtualAccount(Announced):
    """An application's identity: it holds tokens and grants, but no one signs in as it."""

    name = models.CharField(max_length=64, unique=True, validators=[slug_validator])
    display_name = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    team = models.ForeignKey(
        Team,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="virtual_accounts",
        help_text="The team that owns it.",
    )
    enabled = models.BooleanField(default=True)
    tags = models.JSONField(
        default=dict, blank=True, help_text="Metadata written on every call, over what the caller sends: text to text."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "application"
        ordering = ["name"]

    def clean(self) -> None:
        tags = self.tags
        if not isinstance(tags, dict) or not all(isinstance(v, str) and len(v) <= 128 for v in tags.values()):
            raise ValidationError({"tags": "Give a JSON object of strings, each at most 128 characters."})

    def audit_place(self) -> tuple[str, str]:
        return "", self.team.name if self.team else ""

    def __str__(self) -> str:
        return self.name


class ApiTokenQuerySet(AnnouncedQuerySet):
    """Ways to make and end tokens; the admin and the commands call these."""

    def issue(
        self,
        *,
        name: str,
        user: User | None = None,
        virtual_account: VirtualAccount | None = None,
        expires_at: datetime | None = None,
        limits: list[str] | None = None,
    ) -> tuple["ApiToken", str]:
        """Create a token for a user or a virtual account; return its row and the token, which is shown once."""
        secret = tokens.new_token()
        token = ApiToken(
            name=name,
            user=user,
            virtual_account=virtual_account,
            prefix=tokens.visible_prefix(secret),
            digest=tokens.digest(secret),
            expires_at=expires_at,
            limits=limits or [],
        )
        token.full_clean()
        token.save()
        return token, secret

    def revoke(self) -> int:
        """Revoke every token of this set that is not yet; return how many."""
        return self.filter(revoked_at=None).update(revoked_at=timezone.now())


class ApiToken(Announced):
    """A bearer token of a user (personal access token) or of a virtual account. Only its hash is stored."""

    name = models.CharField(max_length=200)
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="tokens")
    virtual_account = models.ForeignKey(VirtualAccount, models.CASCADE, null=True, blank=True, related_name="tokens")
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    limits = models.JSONField(
        default=list,
        blank=True,
        help_text='Narrows the token to these accounts and models: ["openai-main", "gemini/gemini-2.5-pro"]. Empty: '
        "no limit.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiTokenQuerySet.as_manager()  # type: ignore[misc]  # the base's manager, with more methods

    class Meta:
        verbose_name = "token"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="token_belongs_to_one_subject",
                condition=models.Q(user__isnull=False, virtual_account__isnull=True)
                | models.Q(user__isnull=True, virtual_account__isnull=False),
            )
        ]

    def clean(self) -> None:
        limits = self.limits
        if not isinstance(limits, list) or not all(isinstance(entry, str) and entry for entry in limits):
            raise ValidationError({"limits": 'Give a JSON list of account or "account/model" names.'})
        # What was named when the limit was set may be gone by now: that must not keep the token from being edited.
        kept = () if self._state.adding else type(self).objects.filter(pk=self.pk).values_list("limits", flat=True)
        fault = limits_fault(limit for limit in limits if not any(limit in stored for stored in kept))
        if fault:
            raise ValidationError({"limits": fault})

    audited_in_cascades = True

    def audit_name(self) -> str:
        return f"{self} of {self.user or self.virtual_account}"

    def audit_place(self) -> tuple[str, str]:
        return self.virtual_account.audit_place() if self.virtual_account else ("", "")

    @property
    def state(self) -> str:
        """``active``, ``expired`` or ``revoked``."""
        if self.revoked_at:
            return "revoked"
        if self.expires_at and self.expires_at <= timezone.now():
            return "expired"
        return "active"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
