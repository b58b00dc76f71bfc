"""The names that servers of ``any_model`` accounts list, kept for ``GET /models``: workers read them, requests don't.

A server that gives no list leaves the last one as it is. What is kept has neither keys nor bodies.
"""

import random
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from fernet_fields import DecryptionError

from accounts.changes import announce
from accounts.database_clock import database_now
from accounts.words import counted
from providers.account import ACCOUNT_KIND
from providers.bound_secrets import ENCRYPTED
from providers.catalogue.models import KnownModel
from providers.discovery import MOST_MODELS, DiscoveryFailed, discover
from providers.lookup import undecryptable
from providers.models import OfferedList, ProviderAccount

LEASE = timedelta(minutes=15)
"""Longer than the slowest server takes for all of its pages."""
MOST_FAULT = 500


def source_of(account: ProviderAccount) -> str:
    """Return what a list is of: the kind and address that it is read from."""
    return f"{account.kind} {account.url}"


def names_of(account: ProviderAccount, row: OfferedList | None) -> tuple[str, ...]:
    """Return the names that the account's server lists, as far as its calls may name them."""
    if row is None or not account.any_model or row.source != source_of(account):
        return ()
    return tuple(row.names[:MOST_MODELS])


def due(now: datetime) -> list[int]:
    """Return the keys of the accounts to be read: new and changed ones, and those of an hour ago.

    An account whose vendor has no list is never one of them, nor is any where ``GATEHOUSE_DISCOVER_SECONDS`` is 0.
    """
    if not settings.DISCOVER_SECONDS:
        return []
    OfferedList.objects.exclude(account_id__in=ProviderAccount.objects.values("pk")).delete()
    rows = {row.account_id: row for row in OfferedList.objects.defer("names")}
    accounts = ProviderAccount.objects.filter(enabled=True, any_model=True).defer(*ENCRYPTED)
    return [account.pk for account in accounts if _is_due(account, rows.get(account.pk), now)]


def _is_due(account: ProviderAccount, row: OfferedList | None, now: datetime) -> bool:
    if account.vendor.vertex or account.vendor.deployments:
        return False
    if row is None or row.tried_at is None:
        return True
    changed = row.account_saved_at != account.updated_at or row.source != source_of(account)
    return changed or now - row.tried_at >= timedelta(seconds=settings.DISCOVER_SECONDS)


def claim(account_id: int, now: datetime) -> datetime | None:
    """Take an account that was :func:`due` at ``now``; return the claim, ``None`` when another worker has, or had,
    it."""
    OfferedList.objects.get_or_create(account_id=account_id)
    until = now + LEASE + timedelta(microseconds=random.randrange(1_000_000))  # a moment that no other claim has
    free = OfferedList.objects.filter(Q(lease_until=None) | Q(lease_until__lt=now), account_id=account_id)
    untried = free.filter(Q(tried_at=None) | Q(tried_at__lte=now))
    return until if untried.update(lease_until=until) else None


def read(account_id: int, claimed: datetime) -> bool:
    """Ask the account's server for its list and keep it, under a claim; return whether it gave one."""
    held = OfferedList.objects.filter(account_id=account_id, lease_until=claimed)
    account = ProviderAccount.objects.filter(pk=account_id).defer(*ENCRYPTED).first()
    if account is None or not held.exists():
        return False
    try:
        names = _names(discover(ProviderAccount.objects.get(pk=account_id)))
    except ProviderAccount.DoesNotExist:
        return False
    except DecryptionError:
        fault = undecryptable(account.name)
    except DiscoveryFailed as failure:
        fault = str(failure)
    else:
        _keep(held, account, names)
        return True
    held.update(
        fault=fault[:MOST_FAULT], tried_at=database_now(), account_saved_at=account.updated_at, lease_until=None
    )
    return False


def keep(account: ProviderAccount, found: Iterable[KnownModel]) -> None:
    """Keep what someone has just read of an ``any_model`` account; of another nothing is kept."""
    if account.any_model:
        OfferedList.objects.get_or_create(account_id=account.pk)
        _keep(OfferedList.objects.filter(account_id=account.pk), account, _names(found))


def _keep(held: QuerySet[OfferedList], account: ProviderAccount, names: list[str]) -> None:
    """Write the list into the row of ``held``, if it is still there; workers reload the account if it is another."""
    with transaction.atomic():
        row = held.select_for_update().first()
        if row is None:
            return
        source, now = source_of(account), database_now()
        if (row.names, row.source) != (names, source):
            announce(ACCOUNT_KIND, account.pk)
        row.names, row.source, row.fault, row.lease_until = names, source, "", None
        row.read_at, row.tried_at, row.account_saved_at = now, now, account.updated_at
        row.save()


def _names(found: Iterable[KnownModel]) -> list[str]:
    return sorted(known.name for known in found)[:MOST_MODELS]


def state_of(account: ProviderAccount) -> str:
    """Say what is kept of an account's list, and why the last reading failed; for people."""
    if account.vendor.vertex or account.vendor.deployments:
        return "This kind of provider lists none."
    row = OfferedList.objects.filter(account_id=account.pk).first()
    if row is None or row.tried_at is None:
        return "Not read yet."
    names = names_of(account, row)
    kept = f"{counted(len(names), 'model')}, read {row.read_at:%Y-%m-%d %H:%M} UTC." if row.read_at else "None."
    return f"{kept} At {row.tried_at:%Y-%m-%d %H:%M} UTC the list could not be read: {row.fault}" if row.fault else kept
