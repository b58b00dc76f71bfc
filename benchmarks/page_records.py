"""The made-up site of :mod:`benchmarks.console_pages`: its imports need Django set up."""

import json
import time
from typing import Any, Final

from django.db import connection

from accounts.models import ApiToken, User
from providers.models import Grant, Model, ProviderAccount
from tests.support.usage_rows import USUAL
from usage.models import UsageRecord

DAYS: Final = 90
CALLERS, TEAMS, ACCOUNTS, MODELS = 1000, 40, 8, 60


def add_people() -> None:
    """Make accounts, models and people."""
    if User.objects.exists():
        return
    User.objects.create_superuser("root@example.com")
    mia = User.objects.create_user("mia@example.com")
    people = User.objects.bulk_create(User(email=f"user{n}@example.com") for n in range(CALLERS))
    ApiToken.objects.issue(name="laptop", user=people[5])
    for n in range(ACCOUNTS):
        account = ProviderAccount.objects.create(kind="openai", name=f"account{n}")
        own = [Model(account=account, name=f"model{m}", model_types=["chat"]) for m in range(n, MODELS, ACCOUNTS)]
        Model.objects.bulk_create(own)
        Grant.objects.create(account=account, everyone=True)
        if n < 2:
            Grant.objects.create(account=account, user=mia, role="manager")


def _columns(there: int, count: int, vendor: str) -> dict[str, str]:
    """Return what a made-up record's columns hold, as SQL of its number, caller and model."""
    moment = f"{time.time():.0f} - (n - {there}) * {DAYS * 86400 / (count - there):.9f}"
    if vendor == "postgresql":
        digits = "lpad(to_hex(({})::bigint), {}, '0')".format
        identity = f"({digits(f'1000 * ({moment})', 12)} || '7000' || '8' || {digits('n', 15)})::uuid"
        at, teams, project = f"to_timestamp({moment})", "jsonb_build_array({})", "jsonb_build_object('project', {})"
        latency = "(200000 * exp(2.5 * {}))::bigint"
    else:
        identity = f"printf('%012x70008%015x', 1000 * ({moment}), n)"
        at = f"strftime('%Y-%m-%d %H:%M:%S', {moment}, 'unixepoch') || '.123456'"
        teams, project = "json_array({})", "json_object('project', {})"
        latency = "CAST(200000 * exp(2.5 * {}) AS INTEGER)"
    third = _share(3)
    return {
        "id": identity,
        "created_at": at,
        "request_id": "'req-' || n",
        "subject_id": "caller",
        "subject_name": "'user' || caller || '@example.com'",
        "token_prefix": "'gh-' || caller",
        "teams": teams.format(f"'team' || (caller % {TEAMS})"),
        "account": f"'account' || (model % {ACCOUNTS})",
        "model_asked": f"'account' || (model % {ACCOUNTS}) || '/model' || model",
        "model_served": "'model' || model",
        "status": "CASE WHEN n % 50 = 0 THEN 502 ELSE 200 END",
        "upstream_status": "CASE WHEN n % 50 = 0 THEN 502 ELSE 200 END",
        "error_class": "CASE WHEN n % 50 = 0 THEN 'upstream_error' ELSE '' END",
        "cost_pico": "CASE WHEN n % 1000 = 3 THEN NULL ELSE 1000000 * (n % 100000) END",
        "input_tokens": "100 + n % 3000",
        "latency_us": latency.format(third),
        "ttft_us": latency.format(f"(0.5 * {third})"),
        "metadata": project.format("'project' || (caller % 30)"),
        "batch_key": "CASE WHEN n % 50 = 7 THEN 'account0/batch_' || n / 100000 ELSE '' END",
    }


def _share(number: int) -> str:
    """Return a share from 0 to 1 that follows from a record's number, as SQL: another one for each ``number``."""
    factor = (2_654_435_761, 2_246_822_519, 3_266_489_917)[number - 1]
    return f"((n * {factor}) % 4294967296 / 4294967296.0)"


def fill(there: int, count: int) -> None:
    """Write the records from number ``there`` on in one statement, and make PostgreSQL's indexes afterwards."""
    table = UsageRecord._meta.db_table
    constants = USUAL | {"error_message": "", "estimated": False, "trace_id": "", "model_resolved": "", "decision": {}}
    values = {name: _literal(value) for name, value in constants.items()} | _columns(there, count, connection.vendor)
    skewed = ", ".join(
        f"CAST(floor({size} * {_share(n)} * {_share(n)}) AS INTEGER) AS {name}"
        for n, (name, size) in enumerate((("caller", CALLERS), ("model", MODELS)), 1)
    )
    numbers = f"generate_series({there + 1}::bigint, {count}) AS s(n)"
    before = ""
    if connection.vendor != "postgresql":
        following = f"SELECT n + 1 FROM s WHERE n < {count}"  # noqa: S608
        before = f"WITH RECURSIVE s(n) AS (SELECT {there + 1} UNION ALL {following})"
        numbers = "s"
    columns = ", ".join(f'"{name}"' for name in values)
    indexes = UsageRecord._meta.indexes if connection.vendor == "postgresql" else []
    with connection.cursor() as cursor:
        if indexes:
            cursor.execute("SET statement_timeout = 0")
        with connection.schema_editor() as editor:
            for index in indexes:
                editor.remove_index(UsageRecord, index)
        cursor.execute(
            f"INSERT INTO {table} ({columns}) {before} "  # noqa: S608 - names of ours
            f"SELECT {', '.join(values.values())} FROM (SELECT n, {skewed} FROM {numbers}) AS made"
        )
        with connection.schema_editor() as editor:
            for index in indexes:
                editor.add_index(UsageRecord, index)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    text = json.dumps(value) if isinstance(value, dict | list) else str(value)
    return "'" + text.replace("'", "''") + "'"
