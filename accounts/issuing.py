"""Making, finding and ending tokens: what the token commands do, as plain functions.

They raise ``ValueError`` with a sentence that says what is wrong and what to do.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from accounts import tokens
from accounts.models import ApiToken, User, VirtualAccount

DURATION = re.compile(r"(\d{1,6})\s*([mhdw])")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LIMIT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199})?")
SHOWN_CHARACTERS = 60
LEAST_PREFIX = len(tokens.PREFIX) + 4


def parse_expiry(text: str, now: datetime | None = None) -> datetime:
    """Return the moment that ``text`` names: ``90d`` from now (m, h, d, w), an ISO date (its end, UTC) or ISO time."""
    now = now or timezone.now()
    duration = DURATION.fullmatch(text.strip().lower())
    try:
        if duration:
            moment = now + timedelta(**{UNITS[duration[2]]: int(duration[1])})
        elif re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip()):
            moment = datetime.combine(date.fromisoformat(text.strip()), datetime.min.time(), UTC) + timedelta(days=1)
        else:
            moment = datetime.fromisoformat(text.strip())
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a valid expiry. Use 90d, 12h or 4w from now, 2027-01-31, or 2027-01-31T12:00:00Z."
        ) from None
    if moment <= now:
        raise ValueError(f"{text!r} is not in the future.")
    return moment


def find_or_make_user(email: str) -> tuple[User, bool]:
    """Return the user of ``email`` and whether they were made now. A new one has no password."""
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise ValueError(f"{_short(email)} is not a valid e-mail address.") from None
    user = User.objects.filter(email=email).first()
    if user:
        return user, False
    try:
        User(email=email).clean_fields(exclude=["password"])
    except ValidationError as error:
        raise ValueError(f"{_short(email)} is not a user's e-mail address. {' '.join(error.messages)}") from None
    return User.objects.create_user(email), True


def find_or_make_virtual_account(name: str) -> tuple[VirtualAccount, bool]:
    """Return the virtual account ``name`` and whether it was made now. A new one may call nothing."""
    found = VirtualAccount.objects.filter(name=name).first()
    if found:
        return found, False
    made = VirtualAccount(name=name)
    try:
        made.full_clean()
    except ValidationError as error:
        raise ValueError(
            f"{_short(name)} is not a valid name for a virtual account. {' '.join(error.messages)}"
        ) from None
    made.save()
    return made, True


@transaction.atomic
def issue_token(
    *,
    name: str,
    user: str = "",
    virtual_account: str = "",
    expires: str = "",
    limits: list[str] | None = None,
) -> tuple[ApiToken, str, bool]:
    """Create a token for a user (e-mail address) or a virtual account (name), either of which is created when missing.

    Return the token's row, the token itself, and whether its owner was made. Nothing is written when it raises.
    """
    if bool(user) == bool(virtual_account):
        raise ValueError("Name either a user or a virtual account.")
    for limit in limits or []:
        if not LIMIT.fullmatch(limit):
            raise ValueError(f"{limit!r} is not a valid limit. Give an account, or a model as account/model.")
    expires_at = parse_expiry(expires) if expires else None
    owner: dict[str, Any]
    if user:
        person, made = find_or_make_user(user)
        owner = {"user": person}
        if not person.is_active:
            raise ValueError(f"The user {person.email} is inactive, so the token would not work. Activate them first.")
    else:
        application, made = find_or_make_virtual_account(virtual_account)
        owner = {"virtual_account": application}
        if not application.enabled:
            raise ValueError(f"The virtual account {application.name} is disabled, so the token would not work.")
    try:
        token, secret = ApiToken.objects.issue(name=name, expires_at=expires_at, limits=limits, **owner)
    except ValidationError as error:
        raise ValueError(" ".join(error.messages)) from None
    return token, secret, made


def find_tokens(*, token: str = "", user: str = "", virtual_account: str = "", name: str = "") -> list[ApiToken]:
    """Return the tokens that fit all that is given, newest first.

    ``token`` is a whole token, or its visible beginning (at least seven characters).
    """
    found = ApiToken.objects.select_related("user", "virtual_account")
    if token and tokens.fault(token) is None:
        found = found.filter(digest=tokens.digest(token))
    elif token:
        token = token.rstrip("….")
        if not token.startswith(tokens.PREFIX) or len(token) < LEAST_PREFIX:
            raise ValueError(
                f"Give a token or at least its first {LEAST_PREFIX} characters, which begin with {tokens.PREFIX}."
            )
        if len(token) > tokens.VISIBLE_CHARACTERS:
            raise ValueError(
                f"This is neither a whole token ({tokens.fault(token)}) nor its first "
                f"{tokens.VISIBLE_CHARACTERS} characters, which list_tokens shows."
            )
        found = found.filter(prefix__startswith=token)
    if user:
        found = found.filter(user__email=user.strip().lower())
    if virtual_account:
        found = found.filter(virtual_account__name=virtual_account)
    if name:
        found = found.filter(name=name)
    return list(found)


def revoke_tokens(found: list[ApiToken]) -> list[ApiToken]:
    """Revoke those of ``found`` that are not yet; return them. Every worker refuses them within a second."""
    now = timezone.now()
    with transaction.atomic():
        ended = [token for token in found if token.revoked_at is None]
        ApiToken.objects.filter(pk__in=[token.pk for token in ended], revoked_at=None).update(revoked_at=now)
    for token in ended:
        token.revoked_at = now
    return ended


@transaction.atomic
def roll_token(token: ApiToken, overlap: timedelta) -> tuple[ApiToken, str]:
    """Make another token of the same name, owner and limits, and let the old one work for ``overlap`` longer at most.

    The new one lives as long as the old one was made for. Return its row and the token itself. Raises ``ValueError``
    when the old one has ended already, or when one of its limits names what is not there any more.
    """
    old: ApiToken = ApiToken.objects.select_for_update().get(pk=token.pk)
    now = timezone.now()
    if old.state != "active":
        raise ValueError(f"This token is {old.state}: make a new one.")
    lifetime = old.expires_at - old.created_at if old.expires_at else None
    try:
        new, secret = ApiToken.objects.issue(
            name=old.name,
            user=old.user,
            virtual_account=old.virtual_account,
            expires_at=now + lifetime if lifetime else None,
            limits=old.limits,
        )
    except ValidationError as error:
        raise ValueError(" ".join(error.messages)) from None
    if overlap:
        end = now + overlap
        old.expires_at = min(old.expires_at, end) if old.expires_at else end
        old.save(update_fields=["expires_at"])
    else:
        revoke_tokens([old])
    return new, secret


def describe(token: ApiToken) -> dict[str, Any]:
    """Return what may be shown of a token: never the token or its hash. Times are ISO 8601 in UTC."""
    return {
        "prefix": token.prefix,
        "name": token.name,
        "user": token.user.email if token.user else None,
        "virtual_account": token.virtual_account.name if token.virtual_account else None,
        "state": token.state,
        "limits": token.limits,
        "created_at": _iso(token.created_at),
        "expires_at": _iso(token.expires_at),
        "last_used_at": _iso(token.last_used_at),
        "revoked_at": _iso(token.revoked_at),
    }


def _short(text: str) -> str:
    """Return a string as a message shows it: quoted, its odd characters spelled out, and not longer than a line."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…")


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None
