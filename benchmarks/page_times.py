"""The pages of :mod:`benchmarks.console_pages` and what they take: its imports need Django set up."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client, client

from accounts.models import User
from benchmarks.page_records import add_people, fill
from providers.models import ProviderAccount
from usage.models import UsageRecord
from usage.recounting import rebuild

TRIES: Final = 7
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


def step(count: int) -> dict[tuple[str, str], float]:
    """Bring the database to ``count`` records, and return how long each role's pages took in milliseconds."""
    settings.ALLOWED_HOSTS = ["testserver"]
    call_command("migrate", verbosity=0)
    add_people()
    there = UsageRecord.objects.count()
    if there < count:
        _took(f"{count - there:,} records", lambda: fill(there, count))
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


def _measured(role: str) -> Iterator[tuple[str, float]]:
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
    busy = time.process_time()
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        busy += int(Path(f"/proc/{connection.connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e9
    return busy
