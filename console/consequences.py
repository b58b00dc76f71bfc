"""What breaks when a provider account is renamed or deleted: tokens, running jobs, files, and its callers."""

from datetime import timedelta

from django.utils import timezone

from accounts.models import ApiToken
from accounts.words import counted
from gateway.models import OwnedObject
from gateway.objects.files import FILE
from gateway.objects.job_kinds import KINDS
from providers.models import ProviderAccount
from usage.models import UsageRecord

RECENT_DAYS = 7
COUNTED = 100_000
NAMED = 5


def consequences(account: ProviderAccount, *, renamed: bool = False) -> list[str]:
    """Return what depends on the account, a sentence each; empty when nothing does.

    Objects follow an account that is only ``renamed``.
    """
    found = [_recent_calls(account.name), _limited_tokens(account.name)]
    return [text for text in (*found, *(() if renamed else _objects(account.name))) if text]


def _recent_calls(name: str) -> str:
    since = timezone.now() - timedelta(days=RECENT_DAYS)
    recent = UsageRecord.objects.filter(account=name, created_at__gte=since)
    calls = recent.order_by("-created_at")[: COUNTED + 1].count()
    if not calls:
        return ""
    callers = list(recent.order_by("-created_at").values_list("subject_name", flat=True)[:1000])
    who = _some(list(dict.fromkeys(callers)))
    more = "more than " if calls > COUNTED else ""
    return f"{more}{counted(min(calls, COUNTED), 'call')} in the last {RECENT_DAYS} days, by {who}"


def _limited_tokens(name: str) -> str:
    mentioned = ApiToken.objects.filter(revoked_at=None, limits__icontains=name).select_related(
        "user", "virtual_account"
    )
    tokens = [
        f"{token} of {token.user or token.virtual_account}"
        for token in mentioned
        if token.state == "active" and any(limit.split("/", 1)[0] == name for limit in token.limits)
    ]
    return f"{counted(len(tokens), 'token')} limited to it: {_some(tokens)}" if tokens else ""


def _objects(name: str) -> list[str]:
    kept = OwnedObject.objects.filter(account_name=name, deleted_at=None)
    jobs = kept.unfinished().filter(kind__in=KINDS)
    running = [f"{object_id} of {owner}" for object_id, owner in jobs.values_list("object_id", "owner_name")[:1000]]
    files = kept.filter(kind=FILE).count()
    return [
        f"{counted(len(running), 'running job')}: {_some(running)}" if running else "",
        f"{counted(files, 'file')} that callers keep there" if files else "",
    ]


def _some(names: list[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
