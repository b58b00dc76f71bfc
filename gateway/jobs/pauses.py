"""Pauses of jobs: between two polls, after a failure, and of all jobs of an account that refuses its key or sets a
limit."""

from datetime import datetime, timedelta

from django.db.models import Q

from accounts.backoff import backoff
from accounts.database_clock import database_now
from gateway.models import OwnedObject
from providers.models import ProviderAccount

FAILURE_SECONDS = 5.0
LONGEST_FAILURE_SECONDS = 600.0
KEY_PAUSE_SECONDS = 300.0
GONE_SECONDS = 300.0
LEAST_RATE_PAUSE_SECONDS = 1.0
FAULT_CHARACTERS = 300
KEY_REFUSED = "The upstream refuses the account's key"
# How the faults begin that a change of the account may fix: those, and ``AccountGone``'s.
ACCOUNT_FAULTS = (KEY_REFUSED, "The provider account ", "The key of the provider account ")


def failure_pause(row: OwnedObject) -> float:
    """Return how long to wait after a failure, in seconds: twice as long each time."""
    return backoff(row.failures, FAILURE_SECONDS, LONGEST_FAILURE_SECONDS)


def pause_account(account_name: str, seconds: float, fault: str) -> None:
    """Let no job of the account that no worker has be due for ``seconds``."""
    until = database_now() + timedelta(seconds=seconds)
    waiting = OwnedObject.objects.filter(account_name=account_name, lease_until=None, due_at__lt=until)
    waiting.update(due_at=until, **({"fault": fault[:FAULT_CHARACTERS]} if fault else {}))


def resume_account(account_name: str) -> int:
    """Let the jobs that wait for a change of the account be due now; return how many. Called when an account is
    saved."""
    now = database_now()
    waiting = OwnedObject.objects.filter(account_name=account_name, lease_until=None, due_at__gt=now)
    fixed = Q(*[("fault__startswith", beginning) for beginning in ACCOUNT_FAULTS], _connector=Q.OR)
    return waiting.filter(fixed).update(due_at=now)


def changed_since(account_name: str, moment: datetime) -> bool:
    """Whether an account was saved after ``moment``."""
    return ProviderAccount.objects.filter(name=account_name, updated_at__gte=moment).exists()
