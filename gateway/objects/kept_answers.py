"""First answers to calls with an idempotency key, as the database has them: whose turn it is, and what was answered.

The database, and not Redis, because every installation has one, all workers share it, and it forgets nothing before
its time: who asks twice must not pay twice because a cache was full, or began again. Calls without a key never come
here. A claim is a row with a lease, which its worker renews; one that dies lets it run out. All moments are the
database's.
"""

from datetime import datetime, timedelta
from time import monotonic
from typing import Final

import msgspec
from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import Sum

from accounts.database_clock import database_now
from gateway.models import KeptAnswer
from usage.request_log import seal, unseal_bytes

KEPT: Final = timedelta(hours=24)
LEASE: Final = timedelta(seconds=60)
ROOM_SECONDS: Final = 10.0
"""How long this process takes the room that it found for granted."""
FREED_SHARE: Final = 0.9
"""When the room is used up, the oldest bodies go until so much of the bound is used."""
ROWS_AT_ONCE: Final = 1000

Header = tuple[bytes, bytes]
_encode = msgspec.msgpack.Encoder().encode
_looked_at: float = float("-inf")


class About(msgspec.Struct):
    """What is kept beside an answer's body: the request's ``fingerprint``, the answer's head, and what a record says of
    its call. ``whole`` says that the answer had a length; else it was a stream."""

    fingerprint: bytes
    status: int
    headers: list[Header]
    whole: bool
    request_id: str
    operation: str = ""
    endpoint: str = ""
    model_asked: str = ""
    account: str = ""
    provider: str = ""
    model_served: str = ""
    model_resolved: str = ""
    account_named: str = ""


class Kept(msgspec.Struct):
    """A kept answer. Without ``about`` no present key opens it; without ``body`` it was too large, or had to go."""

    about: About | None
    body: bytes | None


class Busy(msgspec.Struct):
    """A call with the key is under way, or was a moment ago."""


_about = msgspec.msgpack.Decoder(About)


def claim(scope: str, owner_key: str, name: str) -> Kept | Busy | None:
    """Take the turn of ``scope`` under ``name``, and return ``None``; or return what was answered, or that it is
    another's turn."""
    row = KeptAnswer.objects.filter(scope=scope).first()
    now = database_now()
    if row is None:
        return None if _begun(scope, owner_key, name, now) else Busy()
    if row.leased_until is None and row.expires_at > now:
        return _read(row)
    if row.leased_until is not None and row.leased_until > now:
        return Busy()
    same = KeptAnswer.objects.filter(pk=row.pk, claim=row.claim, leased_until=row.leased_until)
    changes = {"claim": name, "leased_until": now + LEASE, "expires_at": now + KEPT}
    return None if same.update(**changes, about=None, body=None, size=0) else Busy()


def renew(scope: str, name: str) -> bool:
    """Hold a claim for longer; return whether it was held."""
    return bool(_held(scope, name).update(leased_until=database_now() + LEASE))


def release(scope: str, name: str) -> None:
    """Give a claim back: the next call with the key is the first one again."""
    _held(scope, name).delete()


def keep(scope: str, name: str, about: About, body: bytes | None) -> None:
    """Keep the answer of a claim; of one that was lost meanwhile, keep nothing."""
    sealed = seal(_encode(about)), None if body is None else seal(body)
    size = sum(len(part) for part in sealed if part is not None)
    expires_at = database_now() + KEPT
    _held(scope, name).update(
        leased_until=None, expires_at=expires_at, about=sealed[0], body=sealed[1], size=size if sealed[1] else 0
    )
    _make_room()


def _begun(scope: str, owner_key: str, name: str, now: datetime) -> bool:
    try:
        with transaction.atomic():
            KeptAnswer.objects.create(
                scope=scope, owner_key=owner_key, claim=name, leased_until=now + LEASE, expires_at=now + KEPT
            )
    except IntegrityError:  # another was quicker
        return False
    return True


def _held(scope: str, name: str) -> "models.QuerySet[KeptAnswer]":
    return KeptAnswer.objects.filter(scope=scope, claim=name, leased_until__isnull=False)


def _read(row: KeptAnswer) -> Kept:
    about = unseal_bytes(bytes(row.about or b""))
    body = unseal_bytes(bytes(row.body)) if row.body is not None else None
    return Kept(None if about is None else _about.decode(about), body)


def _make_room() -> None:
    """Drop the oldest bodies where all together exceed the bound. That an answer was given stays known."""
    global _looked_at
    if monotonic() - _looked_at < ROOM_SECONDS:
        return
    _looked_at = monotonic()
    rows = KeptAnswer.objects.filter(size__gt=0)
    too_much = (rows.aggregate(total=Sum("size"))["total"] or 0) - settings.IDEMPOTENCY_TOTAL_BYTES
    if too_much <= 0:
        return
    too_much += int(settings.IDEMPOTENCY_TOTAL_BYTES * (1 - FREED_SHARE))
    oldest = rows.order_by("expires_at").values_list("pk", "size")
    while too_much > 0 and (found := list(oldest[:ROWS_AT_ONCE])):
        dropped = []
        for pk, size in found:
            if too_much <= 0:
                break
            dropped.append(pk)
            too_much -= size
        KeptAnswer.objects.filter(pk__in=dropped).update(body=None, size=0)
