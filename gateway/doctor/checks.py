"""What ``manage.py doctor`` looks at: each check yields findings, with what to do about them.

A check reads; it changes nothing and calls no model. What it needs and can't reach is a finding of its own.
"""

import contextlib
import shutil
import socket
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count
from fernet_fields import DecryptionError

from accounts.database_clock import database_now
from accounts.models import ApiToken
from accounts.token_limits import limits_fault
from accounts.words import counted
from gateway.server.preflight import start_faults
from providers import azure, egress
from providers.models import Grant, Model, OfferedList, ProviderAccount
from providers.pricing.current import public_prices
from providers.routing.shape import target_names
from providers.vendors import VENDORS
from rules import routes
from rules.models import RoutingRule
from rules.references import Names
from usage import partitioning, partitions, recounting, recovery, scheduled_exports
from usage.ledger import REJECTED_NAME, spool_directory
from usage.models import UsageRecord

OK, WARNING, ERROR = "ok", "warning", "error"
SKEW_SECONDS = 2.0
LITTLE_DISK_BYTES, NO_DISK_BYTES = 2 << 30, 200 << 20
SLOW_DATABASE_SECONDS = 0.05
CONNECT_SECONDS = 3.0
WAITING_RECORDS = 1000
SOON_DAYS = 30
SUMMED_DAYS = 2
VIRTUAL: Final = [kind for kind, vendor in VENDORS.items() if vendor.virtual]
"""Kinds of accounts without a server: no address, no key, no price."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: ``level``, what is so, and what to do about it (empty when all is well)."""

    check: str
    level: str
    message: str
    action: str = ""


Check = Callable[[], Iterator[Finding]]


def check_settings() -> Iterator[Finding]:
    """What would keep a server from starting, and what is set so that it surprises."""
    for fault in start_faults(1):
        what, _, action = fault.partition(". ")
        yield Finding("settings", ERROR, f"{what}.", action)
    if settings.ENVIRONMENT == "production" and not settings.PUBLIC_URL:
        yield Finding(
            "settings",
            WARNING,
            "GATEHOUSE_PUBLIC_URL is not set: the console's cookies are not limited to https.",
            "Set it to the address that browsers use.",
        )


def check_database() -> Iterator[Finding]:
    """Whether it answers, quickly, and has the tables of this release."""
    took = min(_question_seconds() for _ in range(3))
    executor = MigrationExecutor(connection)
    missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if missing:
        yield Finding("database", ERROR, f"It lacks {counted(missing, 'migration')}.", "Run manage.py migrate.")
    if took > SLOW_DATABASE_SECONDS:
        yield Finding(
            "database", WARNING, f"It took {took * 1000:.0f} ms for one question.", "Is it far away, or overloaded?"
        )


def _question_seconds() -> float:
    began = time.perf_counter()
    database_now()
    return time.perf_counter() - began


def check_clock() -> Iterator[Finding]:
    """Whether this machine's clock, the database's and Redis' agree: expiries and leases depend on them."""
    clocks = {"database": database_now().timestamp() - time.time()}
    if settings.REDIS_URL:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=CONNECT_SECONDS) as client:
            seconds, micros = client.time()
            clocks["Redis"] = seconds + micros / 1e6 - time.time()
    for name, skew in clocks.items():
        if abs(skew) > SKEW_SECONDS:
            yield Finding(
                "clock",
                ERROR,
                f"The clock of the {name} differs from this machine's by {skew:+.1f} seconds.",
                "Let both follow a time server (chrony, systemd-timesyncd).",
            )


def check_redis() -> Iterator[Finding]:
    """Whether it answers, and keeps what it is given."""
    if not settings.REDIS_URL:
        return
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=CONNECT_SECONDS, socket_connect_timeout=CONNECT_SECONDS
    ) as client:
        client.ping()
        policy = ""
        with contextlib.suppress(redis.ResponseError):  # services that run Redis for others do not say
            policy = client.config_get("maxmemory-policy").get("maxmemory-policy", "")
    if policy.startswith("allkeys"):
        yield Finding(
            "redis",
            WARNING,
            f"It drops keys when its memory is full ({policy}): counted sockets and jobs among them.",
            "Set maxmemory-policy to noeviction or volatile-lru.",
        )


def check_disk() -> Iterator[Finding]:
    """Whether there is room where usage waits, and whether it waits."""
    free = shutil.disk_usage(settings.DATA_DIR).free
    if free < LITTLE_DISK_BYTES:
        level = ERROR if free < NO_DISK_BYTES else WARNING
        yield Finding(
            "disk",
            level,
            f"{settings.DATA_DIR} has {free >> 20} MB left; usage waits there while the database is unavailable.",
            "Make room, or name another folder with GATEHOUSE_DATA_DIR.",
        )
    spool = spool_directory()
    waiting = recovery.pending(spool) if spool.exists() else 0
    if waiting > WAITING_RECORDS:
        yield Finding(
            "spool",
            WARNING,
            f"Waiting on this machine: {counted(waiting, 'usage record')}.",
            "Is a server running? Its /readyz says what it waits for. manage.py usage_report --flush stores them.",
        )
    if (spool / REJECTED_NAME).exists():
        yield Finding(
            "spool",
            ERROR,
            f"The database refused usage records; they are in {spool / REJECTED_NAME}.",
            "Look at what they say, correct them, and remove the file.",
        )


def check_keys() -> Iterator[Finding]:
    """Whether the stored keys can be decrypted, and are there where the vendor asks for one."""
    for pk, name, enabled in ProviderAccount.objects.values_list("pk", "name", "enabled"):
        try:
            account = ProviderAccount.objects.get(pk=pk)
        except DecryptionError:
            yield Finding(
                "keys",
                ERROR,
                f"The key of {name} was encrypted with another encryption key.",
                "Put the old key behind the new one in GATEHOUSE_ENCRYPTION_KEYS, or enter the account's key again.",
            )
            continue
        if enabled and account.vendor.needs_key and not account.credentials and not account.extra_headers:
            yield Finding("keys", WARNING, f"{name} has no key.", "Enter one, or other credentials.")


def check_egress() -> Iterator[Finding]:
    """Whether the addresses of enabled accounts may be connected to, and answer a connection."""
    rows = ProviderAccount.objects.filter(enabled=True).exclude(kind__in=VIRTUAL)  # which have none
    for name, kind, base_url in rows.values_list("name", "kind", "base_url"):
        account = ProviderAccount(kind=kind, base_url=base_url)
        url = account.url
        fault = egress.url_fault(url) or (azure.address_fault(url) if account.vendor.deployments else "")
        if fault:
            yield Finding(
                "egress", ERROR, f"{name}: {fault}", "Correct its address, or list the host in GATEHOUSE_EGRESS_ALLOW."
            )
            continue
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        why = _connection_fault(host, port)
        if why:
            yield Finding(
                "egress",
                WARNING,
                f"{name}: {host}:{port} can't be reached ({why}).",
                "Check the address, the name server and the firewall.",
            )


def _connection_fault(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        address = str(found[0][4][0])
        fault = egress.address_fault(host, address)
        if fault:
            return fault
        with socket.create_connection((address, port), CONNECT_SECONDS):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__


def check_rules() -> Iterator[Finding]:
    """What is configured and reaches nothing: accounts that no one may use, models without an account's grant, limits
    of tokens that name nothing.
    """
    used = set(Grant.objects.values_list("account_id", flat=True))
    for pk, name in ProviderAccount.objects.filter(enabled=True).values_list("pk", "name"):
        if pk not in used:
            yield Finding("rules", WARNING, f"No one may use {name}: it has no grant.", "Grant it, or disable it.")
    empty = ProviderAccount.objects.filter(enabled=True).annotate(number=Count("models")).filter(number=0)
    for name, kind, any_model in empty.values_list("name", "kind", "any_model"):
        if not any_model:
            action = "Add some." if kind in VIRTUAL else "Add some, or allow models that are not listed."
            yield Finding("rules", WARNING, f"{name} has no models.", action)
    now = datetime.now(UTC)
    tokens = ApiToken.objects.filter(revoked_at=None).exclude(limits=None)
    for prefix, limits, expires_at in tokens.values_list("prefix", "limits", "expires_at"):
        if limits and (expires_at is None or expires_at > now) and (fault := limits_fault(limits)):
            yield Finding(
                "rules", WARNING, f"The token {prefix}… is limited to what is not there: {fault}", "Issue a new one."
            )


def check_prices() -> Iterator[Finding]:
    """Models without a price, and calls that have none: their cost is in no report."""
    models = Model.objects.filter(enabled=True, account__enabled=True, price_source=Model.PriceSource.PUBLIC)
    models = models.exclude(account__kind__in=VIRTUAL)  # whose targets have them
    unpriced = []
    for account, kind, name, upstream_id in models.values_list("account__name", "account__kind", "name", "upstream_id"):
        source = ProviderAccount(kind=kind).vendor.price_source
        if public_prices(source, upstream_id).now().sheet is None:
            unpriced.append(f"{account}/{name}")
    if unpriced:
        yield Finding(
            "prices",
            WARNING,
            f"No price for {counted(len(unpriced), 'model')}: {', '.join(unpriced[:10])}"
            f"{' …' if len(unpriced) > 10 else ''}.",
            "Give them a private price, or correct what the vendor calls them.",
        )
    since = datetime.now(UTC) - timedelta(days=1)
    records = UsageRecord.objects.filter(created_at__gte=since, cost_pico=None).values_list("model_asked")
    for name, number in records.annotate(number=Count("pk")).order_by("-number")[:5]:
        calls = f"{counted(number, 'call')} to {name or '(no model)'}"
        yield Finding("prices", WARNING, f"No cost of {calls} since yesterday.", "See above.")


def check_models() -> Iterator[Finding]:
    """Models that their vendor has shut down, or will soon."""
    soon = datetime.now(UTC).date() + timedelta(days=SOON_DAYS)
    models = Model.objects.filter(enabled=True, account__enabled=True, deprecated_on__lte=soon)
    for account, name, day in models.values_list("account__name", "name", "deprecated_on"):
        yield Finding(
            "models",
            WARNING,
            f"{account}/{name} is shut down on {day}.",
            "Move its callers to another model, then disable it.",
        )


def check_offers() -> Iterator[Finding]:
    """Servers of accounts with ``any_model`` that did not give the list of their models when they were last asked."""
    rows = OfferedList.objects.filter(account__enabled=True, account__any_model=True).exclude(fault="")
    for name, fault, read_at in rows.order_by("account__name").values_list("account__name", "fault", "read_at"):
        kept = f"shows what it listed at {read_at:%Y-%m-%d %H:%M} UTC" if read_at else "shows none of what it offers"
        yield Finding(
            "offers",
            WARNING,
            f"The server of {name} gave no list of its models, so GET /models {kept}: {fault}",
            f"Correct the account, then run manage.py discover {name}. A server without a list harms no call.",
        )


def check_exports() -> Iterator[Finding]:
    """Days that the schedule could not export."""
    if not settings.EXPORT_STORAGE:
        return
    if failed := scheduled_exports.failed(datetime.now(UTC)):
        yield Finding(
            "exports",
            ERROR,
            f"{counted(len(failed), 'file')} can't be exported, first {failed[0].name}: {failed[0].fault}",
            "Check GATEHOUSE_EXPORT_STORAGE and its options; manage.py scheduled_exports --run tries again.",
        )


def check_sums() -> Iterator[Finding]:
    """Whether the console's sums of the last days are those of the records."""
    for day in recounting.days()[:SUMMED_DAYS]:
        if found := recounting.differences(day):
            yield Finding(
                "sums", ERROR, f"They differ from the records: {found[0]}", "Run manage.py usage_sums --rebuild."
            )


def check_partitions() -> Iterator[Finding]:
    """Whether the days to come have partitions, and the server the locks that partitions need."""
    layout = partitions.read()
    if layout is None:
        return
    now = database_now()
    if layout.bounded is not None:
        yield Finding(
            "partitions",
            WARNING,
            f"manage.py partition_usage was stopped halfway: records after {layout.bounded:%Y-%m-%d} would be refused.",
            "Run it again.",
        )
    if not layout.partitioned:
        return
    if (now + timedelta(days=1)).date() in layout.missing(now):
        yield Finding(
            "partitions",
            ERROR,
            "Usage records have no partition for tomorrow.",
            "Does a worker run? Its log says why it makes none. manage.py partition_usage makes them.",
        )
    if few := partitioning.too_few_locks():
        what, _, action = few.partition(". ")
        yield Finding("partitions", WARNING, f"{what}.", action)


def check_narrowed() -> Iterator[Finding]:
    """Accounts that pass any name on and keep some models for some callers: what an upstream's alias means, no one
    knows.
    """
    narrowed = Model.objects.filter(account__enabled=True, account__any_model=True, subjects__isnull=False)
    for name in narrowed.order_by("account__name").values_list("account__name", flat=True).distinct():
        yield Finding(
            "narrowed models",
            WARNING,
            f"{name} passes any model's name on, and has models that are not for all: the provider may know them by "
            "other names, too.",
            "List its models and turn any_model off, or move the narrowed ones to an account of their own.",
        )


def check_targets() -> Iterator[Finding]:
    """Targets of virtual models and routing rules that are not there."""
    rows = Model.objects.exclude(routing={}).order_by("account__name", "name")
    known = Names(suggests=False)
    gone = [
        (f"The virtual model {account}/{model}", target)
        for account, model, routing in rows.values_list("account__name", "name", "routing")
        for target in target_names(routing)
        if not known.has_model(target)
    ]
    for rule in RoutingRule.objects.all():
        targets = routes.target_names(rule.effect)
        gone += [(f"The routing rule {rule}", target) for target in targets if not known.has_model(target)]
    for whose, target in gone:
        yield Finding(
            "targets",
            WARNING,
            f"{whose} has the target {target}, which does not exist: calls pass it over.",
            "Take it out, or add the model. No new account can have a name that a target has.",
        )


CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("settings", check_settings),
    ("database", check_database),
    ("clock", check_clock),
    ("redis", check_redis),
    ("disk", check_disk),
    ("keys", check_keys),
    ("egress", check_egress),
    ("rules", check_rules),
    ("prices", check_prices),
    ("models", check_models),
    ("offers", check_offers),
    ("exports", check_exports),
    ("sums", check_sums),
    ("partitions", check_partitions),
    ("narrowed models", check_narrowed),
    ("targets", check_targets),
)
NEEDS_DATABASE: Final = frozenset(
    {
        *("database", "clock", "keys", "egress", "rules", "prices", "models", "offers"),
        *("exports", "sums", "partitions", "narrowed models", "targets"),
    }
)


def examine(leave_out: Collection[str] = ()) -> Iterator[Finding]:
    """Run the checks in order, without some by name; one that is well yields one finding that says so."""
    without_database = False
    for name, check in CHECKS:
        if name in leave_out or (without_database and name in NEEDS_DATABASE):
            continue
        try:
            found = list(check())
        except DatabaseError as error:
            without_database = True
            found = [
                Finding(
                    name,
                    ERROR,
                    f"The database can't be used ({type(error).__name__}).",
                    "Check DATABASE_URL, or the folder of GATEHOUSE_DATA_DIR; run manage.py migrate.",
                )
            ]
        except (redis.RedisError, OSError) as error:
            found = [Finding(name, ERROR, f"It can't be reached ({type(error).__name__}).", "Check REDIS_URL.")]
        yield from found or [Finding(name, OK, "All is well.")]
