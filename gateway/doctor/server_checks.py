"""Checks of what the service runs on: its settings, database, clocks, Redis and disk."""

import contextlib
import shutil
import time
from collections.abc import Iterator

import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.database_clock import database_now
from accounts.words import counted
from gateway.doctor.findings import ERROR, WARNING, Finding
from gateway.server.preflight import start_faults
from usage import recovery
from usage.ledger import REJECTED_NAME, spool_directory

SKEW_SECONDS = 2.0
LITTLE_DISK_BYTES, NO_DISK_BYTES = 2 << 30, 200 << 20
SLOW_DATABASE_SECONDS = 0.05
REDIS_SECONDS = 3.0
WAITING_RECORDS = 1000


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
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=REDIS_SECONDS) as client:
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
        settings.REDIS_URL, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
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
