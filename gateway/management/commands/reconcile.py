"""``manage.py reconcile``: compare usage records with what the provider bills."""

import json
import os
import sys
from argparse import ArgumentParser
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django.core.management.base import CommandError

from accounts.command import GatehouseCommand
from accounts.printable import printable
from gateway.reconciliation.comparison import Row, Rows, as_dict, compare, total_of
from gateway.reconciliation.invoices import COLUMNS, Asked, Line, NoInvoice, fetch, read_csv
from providers.credentials.exchange import TokenRefused
from providers.lookup import find_account
from providers.models import ProviderAccount
from providers.upstream.sync_client import Unreachable

EXIT_DRIFT = 3


def _day(written: str) -> date:
    return date.fromisoformat(written)


class Command(GatehouseCommand):
    help = (
        "Compare the usage records of an account with its provider's invoice, by model and day (UTC): with OpenAI's or "
        "Anthropic's own reports, which need an admin key, or with a CSV file. Ends with 3 when a day of a model, or "
        "the whole, drifts by more than the threshold."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", required=True, help="the provider account's name")
        parser.add_argument("--since", required=True, type=_day, help="the first day, like 2026-11-01")
        parser.add_argument("--until", type=_day, help="the day after the last one; today when it is not given")
        parser.add_argument("--csv", metavar="FILE", help="read the invoice from a file with a header")
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="NAME=HEADER",
            help=f"what the file calls a column: {', '.join(COLUMNS)}",
        )
        parser.add_argument("--key-variable", metavar="NAME", help="the environment variable that holds an admin key")
        parser.add_argument("--project", action="append", default=[], help="of one project or workspace, by id")
        parser.add_argument("--threshold", type=float, default=1.0, help="percent of drift that is fine; 1")
        parser.add_argument(
            "--least", type=Decimal, default=Decimal("0.01"), help="US dollars that do not matter; 0.01"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        asked = Asked(options["since"], options["until"] or datetime.now(UTC).date(), tuple(options["project"]))
        if asked.since >= asked.until:
            raise CommandError("--since must lie before --until, and before today.")
        try:
            account = find_account(options["account"])
            lines = _lines(account, asked, options)
        except (ValueError, NoInvoice, OSError, TokenRefused) as error:
            raise CommandError(str(error)) from None
        except Unreachable as error:
            raise CommandError(f"The provider can't be asked: {error}.") from None
        rows = compare(account.name, asked, lines)
        total = total_of(rows)
        limits = options["threshold"], options["least"]
        if options["json"]:
            self.stdout.write(json.dumps(_report(account.name, asked, rows, total, limits), indent=2))
        else:
            self._print(rows, total, limits)
        if any(row.is_far(*limits) for row in (*rows.values(), total)):
            sys.exit(EXIT_DRIFT)

    def _print(self, rows: Rows, total: Row, limits: tuple[float, Decimal]) -> None:
        for (day, model), row in rows.items():
            self.stdout.write(f"{day} {printable(model)}: {_said(row)}{'  DRIFTS' if row.is_far(*limits) else ''}")
        self.stdout.write(f"In all: {_said(total)}")
        if total.recorded.unpriced:
            self.stdout.write(f"{total.recorded.unpriced} recorded calls have no price; their cost is in no sum.")


def _lines(account: ProviderAccount, asked: Asked, options: dict[str, Any]) -> list[Line]:
    if options["csv"]:
        pairs = [entry.partition("=") for entry in options["column"]]
        unknown = [name for name, _, header in pairs if name not in COLUMNS or not header]
        if unknown:
            raise NoInvoice(f"--column {unknown[0]}: write NAME=HEADER, NAME one of {', '.join(COLUMNS)}.")
        with open(options["csv"], newline="", encoding="utf-8-sig") as file:
            return read_csv(file, {name: header for name, _, header in pairs}, asked)
    key = ""
    if options["key_variable"]:
        key = os.environ.get(options["key_variable"], "").strip()
        if not key:
            raise NoInvoice(f"The environment variable {options['key_variable']} is not set.")
    return fetch(account, key, asked)


def _said(row: Row) -> str:
    percent = "" if row.percent is None else f" ({row.percent:+.2f} %)"
    said = f"recorded ${row.recorded.cost:.6f}, invoiced ${row.invoiced.cost:.6f}, drift ${row.drift:+.6f}{percent}"
    if row.invoiced.tokens:
        mine, theirs = row.recorded, row.invoiced
        said += f"; tokens {mine.input_tokens:,}+{mine.output_tokens:,}, invoiced {theirs.input_tokens:,}"
        said += f"+{theirs.output_tokens:,}"
    return said


def _report(account: str, asked: Asked, rows: Rows, total: Row, limits: tuple[float, Decimal]) -> dict[str, Any]:
    return {
        "account": account,
        "since": asked.since.isoformat(),
        "until": asked.until.isoformat(),
        "threshold_percent": limits[0],
        "least_usd": str(limits[1]),
        "rows": [
            {"day": day.isoformat(), "model": model, **as_dict(row), "drifts": row.is_far(*limits)}
            for (day, model), row in rows.items()
        ],
        "total": {**as_dict(total), "drifts": total.is_far(*limits)},
    }
