"""Bounds on wrong passwords and codes, behind django-axes: who tries too often waits. API tokens are not concerned.

A try is counted before the password is looked at, so that a hundred at once are not a hundred tries; the right password
takes it back. Three counts, over ``GATEHOUSE_SIGN_IN_PAUSE_MINUTES``: of a person from one address
(``GATEHOUSE_SIGN_IN_TRIES``), of an address for all persons (6 times as many), and of a person from everywhere (20
times as many). The table holds one row for a person and an address, and so many rows at most.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import authenticate
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet, Sum
from django.http import HttpRequest
from django.utils import timezone

from accounts import audit
from accounts.client_address import addresses_are_known, client_address
from accounts.models import User
from accounts.words import counted

logger = logging.getLogger("accounts.sign_in")

MOST_ROWS = 10_000
NAME_CHARACTERS = 254
OF_AN_ADDRESS = 6
OF_A_PERSON = 20


class SignIns(AxesDatabaseHandler):  # type: ignore[misc]
    """What django-axes asks: whether a person may try, and what came of it."""

    def is_locked(self, request: Any, credentials: dict[str, Any] | None = None) -> bool:
        """Count the try, unless there were too many; return whether there were."""
        name, address = _name(credentials), request.axes_ip_address
        if _too_many(name, address, settings.SIGN_IN_TRIES):
            return True
        tries = _count(name, address, request.axes_attempt_time)
        request.sign_in = (name, address, tries)
        return tries > settings.SIGN_IN_TRIES

    def user_login_failed(self, sender: Any, credentials: Any, request: Any = None, **kwargs: Any) -> None:
        """Say so when that was the last try."""
        tried = getattr(request, "sign_in", None)
        if tried is not None and tried[2] == settings.SIGN_IN_TRIES:
            _report(tried[0], tried[1])

    def user_logged_in(self, sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
        """Forget the wrong tries before the right one."""
        forget_tries(request)

    def user_logged_out(self, sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
        """Nothing is kept of signing out."""


def is_own_password(request: HttpRequest, password: str) -> bool:
    """Whether ``password`` is the signed-in person's: a try like one to sign in, under the same bounds.

    Every page that asks for a password again has to ask here; the answer to one try too many is the middleware's.
    """
    found = authenticate(request, username=request.user.get_username(), password=password)
    if found is None:
        return False
    forget_tries(request)
    return True


def may_try(request: HttpRequest, name: str = "") -> bool:
    """Count a try of ``name``, or of someone not known yet, before what they send is looked at; return whether it may
    be. A sign-in that comes of it takes the tries back."""
    address = client_address(request)
    tries = settings.SIGN_IN_TRIES if name else settings.SIGN_IN_TRIES * OF_AN_ADDRESS
    if _too_many(name, address, tries) if name else _too_many_at(address):
        return False
    request.sign_in = (name, address, _count(name, address, timezone.now()))  # type: ignore[attr-defined]
    made: int = request.sign_in[2]  # type: ignore[attr-defined]
    if name and made == tries:
        _report(name, address)
    return made <= tries


def forget_tries(request: Any) -> None:
    """Take back the tries of the person of ``request``, if it was one: what was sent was right."""
    tried = getattr(request, "sign_in", None)
    if tried is not None:
        _rows(tried[0], tried[1]).delete()


def take_back(request: HttpRequest) -> None:
    """Take back the try of ``request``, whose password was not looked at."""
    tried = getattr(request, "sign_in", None)
    if tried is not None:
        _rows(tried[0], tried[1]).update(failures_since_start=F("failures_since_start") - 1)


def unlock(*, name: str = "", address: str = "") -> int:
    """Forget the wrong tries of a person, or from an address, or all; return how many rows there were."""
    chosen = {key: value for key, value in (("username", name.strip().lower()), ("ip_address", address)) if value}
    return int(AccessAttempt.objects.filter(**chosen).delete()[0])


def pause() -> timedelta:
    """Return how long a person has to wait, from the last try that was counted."""
    return timedelta(minutes=settings.SIGN_IN_PAUSE_MINUTES)


def _name(credentials: dict[str, Any] | None) -> str:
    given = (credentials or {}).get("username")
    return str(given or "").replace("\0", "").strip().lower()[:NAME_CHARACTERS]


def _rows(name: str, address: str) -> "QuerySet[AccessAttempt]":
    return AccessAttempt.objects.filter(username=name, ip_address=address, user_agent="")


def _too_many(name: str, address: str, tries: int) -> bool:
    recent = AccessAttempt.objects.filter(attempt_time__gte=timezone.now() - pause())
    bounds: list[tuple[dict[str, str], int]] = [
        ({"username": name, "ip_address": address}, tries),
        ({"username": name}, tries * OF_A_PERSON),
    ]
    if addresses_are_known():
        bounds.append(({"ip_address": address}, tries * OF_AN_ADDRESS))
    return any(_sum(recent.filter(**of)) >= most for of, most in bounds)


def _too_many_at(address: str) -> bool:
    if not addresses_are_known():
        return False
    recent = AccessAttempt.objects.filter(attempt_time__gte=timezone.now() - pause(), ip_address=address)
    return _sum(recent) >= settings.SIGN_IN_TRIES * OF_AN_ADDRESS


def _sum(rows: "QuerySet[AccessAttempt]") -> int:
    return rows.aggregate(sum=Sum("failures_since_start"))["sum"] or 0


def _count(name: str, address: str, now: datetime) -> int:
    """Count a try; return how many there are of this person from this address, this one included."""
    AccessAttempt.objects.filter(attempt_time__lt=now - pause()).delete()
    rows = _rows(name, address)
    with transaction.atomic():
        if not rows.update(failures_since_start=F("failures_since_start") + 1, attempt_time=now):
            try:
                with transaction.atomic():
                    AccessAttempt.objects.create(
                        username=name, ip_address=address, user_agent="", failures_since_start=1
                    )
            except IntegrityError:  # another try was faster
                rows.update(failures_since_start=F("failures_since_start") + 1, attempt_time=now)
            _drop_oldest()
        return rows.values_list("failures_since_start", flat=True).get()


def _drop_oldest() -> None:
    over = AccessAttempt.objects.count() - MOST_ROWS
    if over > 0:
        oldest = AccessAttempt.objects.order_by("attempt_time").values_list("pk", flat=True)[:over]
        AccessAttempt.objects.filter(pk__in=list(oldest)).delete()


def _report(name: str, address: str) -> None:
    """Note in the log, and of a person who exists in the audit log, that an address has to wait."""
    tries, minutes = settings.SIGN_IN_TRIES, settings.SIGN_IN_PAUSE_MINUTES
    wrong, wait = counted(tries, "failed sign-in"), counted(minutes, "minute")
    logger.warning("%s for one person from %s: no more for %s.", wrong, address, wait)
    person = User.objects.filter(email=name).first()
    if person is not None:  # what else was typed may be a password
        audit.note(person, f"refuses sign-ins from {address} for {wait}: {wrong}")
