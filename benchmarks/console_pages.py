"""Measures the console's pages over very many usage records: ``python -m benchmarks.console_pages``.

It starts a PostgreSQL of its own (the tests', from a wheel), or makes a SQLite file, fills it with made-up records,
makes their sums, and asks for pages several times, as a superuser, as the manager of two accounts and as a member. It
prints the least CPU time of each, the database's included. Nothing of an installation is touched; the data goes when it
ends, unless ``--folder`` says where it stays and is found again.

The made-up site: 1,000 callers of skewed activity in 40 teams, 60 models of 8 accounts of skewed popularity, calls
evenly over 90 days, two in a hundred failed, one in fifty a line of a batch.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import django

DAYS: Final = 90
CALLERS, TEAMS, ACCOUNTS, MODELS = 1000, 40, 8, 60
TRIES: Final = 7
LIMIT_MS: Final = 300
POSTGRES: Final = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "maintenance_work_mem": "512MB",
    "max_parallel_workers_per_gather": "0",
}
"""The server's settings beside the tests', which do not wait for the disk. One process answers a query, so its time is
the page's."""
MODEL_0 = "account0/model0"
ROLES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "superuser": (
        "root@example.com",
        (
            "/admin/",
            "/admin/?range=30d",
            "/admin/?range=30d&by=user",
            "/admin/?range=1h",
            "/admin/spend/",
            "/admin/spend/?range=30d",
            "/admin/spend/?range=30d&by=team",
            "/admin/spend/?range=30d&by=token&account=account1",
            f"/admin/spend/?range=30d&by=user&model={MODEL_0}",
            "/admin/spend/?range=90d&by=user",
            "/admin/spend/?range=30d&by=metadata.project",
            "/admin/models/",
            f"/admin/models/{MODEL_0}/",
            "/admin/usage/usagerecord/",
            "/admin/usage/usagerecord/?period=7d&account=account1",
            f"/admin/usage/usagerecord/?period=30d&model_asked={MODEL_0}",
            "/admin/usage/usagerecord/?subject_name=user5@example.com",
            "/admin/usage/usagerecord/?ended=error",
            "/admin/usage/usagerecord/?q=req-777",
            "/admin/requests/req-777/",
            "/admin/requests/live/",
            "/admin/search/?s=req-777",
            "/admin/tokens/",
            "/admin/accounts/user/",
            "/admin/accounts/team/",
            "/admin/providers/provideraccount/",
            "/admin/providers/provideraccount/{account}/change/",
            "/admin/accounts/auditentry/",
        ),
    ),
    "manager": (
        "mia@example.com",
        (
            "/admin/",
            "/admin/?range=30d&by=user",
            "/admin/spend/",
            "/admin/spend/?range=30d",
            "/admin/spend/?range=30d&by=team",
            "/admin/models/",
            f"/admin/models/{MODEL_0}/",
            "/admin/usage/usagerecord/",
            "/admin/usage/usagerecord/?ended=error",
            "/admin/providers/provideraccount/{account}/change/",
        ),
    ),
    "member": (
        "user5@example.com",
        (
            "/admin/",
            "/admin/?range=30d",
            "/admin/models/",
            "/admin/playground/",
            "/admin/tokens/",
            "/admin/usage/usagerecord/",
        ),
    ),
}


def main() -> None:
    """Fill, measure, print."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.console_pages", description=__doc__.partition("\n")[0])
    asked.add_argument("--records", type=int, nargs="+", default=[1_000_000], help="how many, rising (1000000)")
    asked.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    asked.add_argument("--folder", type=Path, help="where the data stays; else a temporary one")
    options = asked.parse_args()
    with _folder(options.folder) as folder, _database(options.database, folder) as url:
        os.environ |= {"GATEHOUSE_DATA_DIR": str(folder / "gatehouse"), "GATEHOUSE_USAGE_METADATA_KEYS": "project"}
        os.environ |= {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "gateway.settings"}
        (folder / "gatehouse").mkdir(exist_ok=True)
        django.setup()
        steps = [_step(count) for count in options.records]
        _print(options.records, steps)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="gatehouse-pages-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user
        yield Path(folder)


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
    from tests.support.servers import PostgresServer  # needed for one of the two only

    if kind == "sqlite":
        yield ""
        return
    server = PostgresServer(folder / "postgresql", **POSTGRES)
    server.start()
    try:
        yield f"{server.url}/postgres"
    finally:
        server.stop()


def _step(count: int) -> dict[tuple[str, str], float]:
    """Bring the database to ``count`` records, and return how long each role's pages took in milliseconds."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from usage.models import UsageRecord
    from usage.recounting import rebuild

    settings.ALLOWED_HOSTS = ["testserver"]
    call_command("migrate", verbosity=0)
    _people()
    there = UsageRecord.objects.count()
    if there < count:
        _took(f"{count - there:,} records", lambda: _fill(there, count))
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET work_mem = '256MB'")
            _took("their sums", rebuild)
            if connection.vendor == "postgresql":
                cursor.execute("RESET work_mem")
                _took("VACUUM ANALYZE", lambda: cursor.execute("VACUUM ANALYZE"))
            else:
                _took("ANALYZE", lambda: cursor.execute("ANALYZE"))
    return {(role, page): took for role in ROLES for page, took in _measured(role)}


def _took(what: str, work: Callable[[], Any]) -> None:
    started = time.perf_counter()
    work()
    print(f"{what}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def _people() -> None:
    """Make accounts, models and people."""
    from accounts.models import ApiToken, User
    from providers.models import Grant, Model, ProviderAccount

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


def _fill(there: int, count: int) -> None:
    """Write the records from number ``there`` on in one statement, and make PostgreSQL's indexes afterwards."""
    from django.db import connection

    from tests.support.usage_rows import USUAL
    from usage.models import UsageRecord

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
        before = f"WITH RECURSIVE s(n) AS (SELECT {there + 1} UNION ALL SELECT n + 1 FROM s WHERE n < {count})"  # noqa: S608
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
            f"INSERT INTO {table} ({columns}) {before} SELECT {', '.join(values.values())} "  # noqa: S608 - names of ours
            f"FROM (SELECT n, {skewed} FROM {numbers}) AS made"
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


def _measured(role: str) -> Iterator[tuple[str, float]]:
    from django.test import Client, client

    from accounts.models import User
    from providers.models import ProviderAccount

    client.store_rendered_templates = lambda *args, **kwargs: None  # type: ignore[attr-defined]  # tests' own extra
    email, pages = ROLES[role]
    browser = Client()
    browser.force_login(User.objects.get(email=email), "django.contrib.auth.backends.ModelBackend")
    account = ProviderAccount.objects.get(name="account0").pk
    for page in pages:
        times = []
        for number in range(TRIES + 1):
            started = _busy_seconds()
            answer = browser.get(page.format(account=account))
            if number:
                times.append(_busy_seconds() - started)
            if answer.status_code != 200:
                raise SystemExit(f"{page} answered {answer.status_code} to the {role}")
        yield page, min(times) * 1000


def _busy_seconds() -> float:
    """Return the CPU time of this process and of its connection's process in PostgreSQL: what a page takes on a machine
    that has nothing else to do, also where that is not so."""
    from django.db import connection

    busy = time.process_time()
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        busy += int(Path(f"/proc/{connection.connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e9
    return busy


def _print(counts: list[int], steps: list[dict[tuple[str, str], float]]) -> None:
    """Print a table in Markdown: a column for each step, and what two steps come to at ten times as many."""
    print(f"| who | page | {' | '.join(f'{count:,}' for count in counts)} |")
    print(f"|---|---|{'---:|' * len(counts)}")
    for key in steps[0]:
        taken = [step[key] for step in steps]
        cells = " | ".join(f"**{took:.0f} ms**" if took > LIMIT_MS else f"{took:.0f} ms" for took in taken)
        print(f"| {key[0]} | `{key[1]}` | {cells} |")


if __name__ == "__main__":
    main()
