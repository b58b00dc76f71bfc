"""A link that lets a superuser in when no other way works: once, and for a quarter of an hour.

Nothing stores it. It is signed over the person's last sign-in, so the next one ends it. A second factor is asked for
behind it like behind every other way in.
"""

from datetime import timedelta
from typing import Any, Final

from django.core import signing

from accounts import audit
from accounts.models import User

LIFETIME: Final = timedelta(minutes=15)
SALT: Final = "gatehouse.recovery"


def recovery_key(person: User) -> str:
    """Return the key of a link for ``person``, and note it in the audit log."""
    audit.note(person, f"made a sign-in link for {LIFETIME.seconds // 60} minutes")
    return signing.dumps([person.pk, _state(person)], salt=SALT)


def who_recovers(key: str) -> User | None:
    """Return the superuser whom ``key`` lets in; ``None`` when it was used, has expired or is not a valid key."""
    try:
        said: Any = signing.loads(key, salt=SALT, max_age=LIFETIME)
    except signing.BadSignature:
        return None
    person = User.objects.filter(pk=said[0], is_active=True, is_superuser=True).first()
    return person if person is not None and _state(person) == said[1] else None


def _state(person: User) -> str:
    return person.last_login.isoformat() if person.last_login else ""
