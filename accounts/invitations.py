"""Invitations: a link with which a person chooses their password, once and within a week.

Only its hash is stored. A new link ends the one before.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from accounts import audit

LIFETIME = timedelta(days=7)


class Invitation(models.Model):
    """The open invitation of a person."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="invitation")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"invitation of {self.user}"


def invite(person: Any) -> str:
    """Make a link's key for ``person``; return it. It is shown this once."""
    key = secrets.token_urlsafe(32)
    end = timezone.now() + LIFETIME
    with transaction.atomic():
        Invitation.objects.filter(user=person).delete()
        Invitation.objects.create(user=person, digest=_digest(key), expires_at=end)
        audit.note(person, f"made an invitation link that ends {end:%Y-%m-%d %H:%M} UTC")
    return key


def open_invitation(key: str) -> Invitation | None:
    """Return the invitation that ``key`` opens; ``None`` when it was used, has ended or is of no one who may enter."""
    found = Invitation.objects.filter(digest=_digest(key), expires_at__gt=timezone.now(), user__is_active=True)
    return found.select_related("user").first()


def accept(invitation: Invitation, password: str, **names: str) -> bool:
    """Give the invited person this password; return whether no one else was faster."""
    person = invitation.user
    person.set_password(password)  # before the transaction: hashing waits its turn, and SQLite has one writer
    with transaction.atomic():
        used, _ = Invitation.objects.filter(pk=invitation.pk, digest=invitation.digest).delete()
        if not used:
            return False
        for name, value in names.items():
            setattr(person, name, value)
        person.save(update_fields=["password", *names])  # what was changed since the page was opened stays
        audit.note(person, "accepted the invitation")
    return True


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
