"""``manage.py batches``: list jobs, watch one until it ends, poll one again."""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

import msgspec
from django.core.management.base import CommandError

from accounts.command import GatehouseCommand
from batches import steering
from gateway.models import OwnedObject
from gateway.objects.job_kinds import STEERED
from providers.models import ProviderAccount

WATCH_SECONDS = 1.0
BAR = 30
MOST_NAMES = 50
WELL = ("completed", "succeeded")


class Command(GatehouseCommand):
    """Show batches and fine-tuning jobs."""

    help = "List batches and fine-tuning jobs, watch one until it ends and is charged, or poll one again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        shown = verbs.add_parser("list", help="the newest jobs")
        shown.add_argument("--account", default="", help="of this provider account only")
        shown.add_argument("--state", default="", help="in this state only, for example in_progress")
        shown.add_argument("--limit", type=int, default=20, help="how many at most (20)")
        watched = verbs.add_parser("watch", help="follow one until it has ended and is charged; 1 unless all went well")
        watched.add_argument("--timeout", type=float, default=0, help="seconds; 0: for ever")
        again = verbs.add_parser("retry", help="poll one again, also one that was given up")
        for each in (watched, again):
            each.add_argument("id", help="batch_... or ftjob-...")
        for each in (shown, watched, again):
            each.add_argument("--json", action="store_true", help="a JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        {"list": self._list, "watch": self._watch, "retry": self._retry}[options["verb"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        if options["limit"] < 1:
            raise CommandError("--limit has to be at least 1.", returncode=2)
        jobs = OwnedObject.objects.filter(kind__in=STEERED)
        rows = jobs.filter(deleted_at=None).order_by("-pk")
        if options["account"]:
            _check(
                "account",
                options["account"],
                ProviderAccount.objects.values_list("name"),
                jobs.values_list("account_name").distinct(),
            )
            rows = rows.filter(account_name=options["account"])
        if options["state"]:
            states = [(state,) for kind in STEERED.values() for state in kind.transitions]
            _check("state", options["state"], states, jobs.values_list("state").distinct())
            rows = rows.filter(state=options["state"])
        found = list(rows[: options["limit"]])
        costs = steering.costs_of(found)
        for row in found:
            self._show(row, costs.get(row.pk), as_json=options["json"])

    def _watch(self, options: dict[str, Any]) -> None:
        if not options["timeout"] >= 0:
            raise CommandError("--timeout has to be a number of seconds, at least 0.", returncode=2)
        started = time.monotonic()
        while True:
            row = self._find(options["id"])
            if row.due_at is None:
                break
            if not options["json"] and sys.stderr.isatty():
                self.stderr.write(f"\r{_bar(row)}", ending="")
            if options["timeout"] and time.monotonic() - started > options["timeout"]:
                raise CommandError(f"{row.object_id} is {row.state} after {options['timeout']:g} s. {row.fault}")
            time.sleep(WATCH_SECONDS)
        self._show(row, steering.costs_of([row]).get(row.pk), as_json=options["json"])
        if row.state not in WELL or row.fault:
            reasons = filter(None, (row.fault, *steering.errors(row)[:1]))
            raise CommandError(" ".join((f"{row.object_id} is {row.state}.", *reasons)))

    def _retry(self, options: dict[str, Any]) -> None:
        row = self._find(options["id"])
        steering.poll_now([row.pk])
        self._show(self._find(options["id"]), None, as_json=options["json"])

    def _find(self, object_id: str) -> OwnedObject:
        row = OwnedObject.objects.filter(object_id=object_id, kind__in=STEERED).first()
        if row is None:
            raise CommandError(
                f"No batch or fine-tuning job has the id {object_id!r}. 'batches list' shows all of them."
            )
        return row

    def _show(self, row: OwnedObject, cost: dict[str, Any] | None, *, as_json: bool) -> None:
        done, failed, total = steering.progress(row)
        shown = {
            "id": row.object_id,
            "kind": row.kind,
            "account": row.account_name,
            "owner": row.owner_name,
            "model": row.model_name,
            "state": row.state,
            "done": done,
            "failed": failed,
            "total": total,
            "charged_lines": cost["lines"] if cost else 0,
            "unpriced_lines": cost["unpriced"] if cost else 0,
            "cost_usd": str(cost["cost"].normalize()) if cost else None,
            "fault": row.fault,
            "finished": row.due_at is None,
        }
        if as_json:
            self.stdout.write(msgspec.json.encode(shown).decode())
            return
        money = f"${cost['cost']:.6f}" if cost else "-"
        self.stdout.write(
            f"{row.object_id}  {row.state:<12} {done}/{total}  {money}  {row.account_name}  {row.owner_name}  "
            f"{row.fault}"
        )


def _check(option: str, value: str, *known: Iterable[tuple[str]]) -> None:
    """Raise unless ``value`` is one of the known values of ``option``, which are rows of one column."""
    names = sorted({name for rows in known for (name,) in rows if name})
    if value not in names:
        listed = ", ".join(names[:MOST_NAMES]) + (" ..." if len(names) > MOST_NAMES else "") or "none"
        raise CommandError(f"--{option}: {value!r} is not one of {listed}.", returncode=2)


def _bar(row: OwnedObject) -> str:
    done, failed, total = steering.progress(row)
    filled = BAR * done // total if total else 0
    return f"{row.state:<12} [{'#' * filled}{'.' * (BAR - filled)}] {done}/{total}, {failed} failed "
