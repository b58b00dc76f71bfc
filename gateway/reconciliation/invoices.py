"""What a provider bills, by model and day (UTC): from OpenAI's and Anthropic's own reports, or from a CSV file."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TextIO
from urllib.parse import urlencode

from accounts.numbers import whole_number
from providers.models import ProviderAccount
from providers.probe.run import account_client
from providers.upstream.sync_client import CheckedClient

MAX_REPORT_BYTES: Final = 8 * 2**20
MOST_PAGES: Final = 1000
REPORT_DAYS: Final = 31
"""Days of a page: the most that both vendors' reports take."""


class NoInvoice(Exception):
    """What the provider bills can't be read; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an invoice. ``cost`` is in US dollars; tokens are ``None`` where the line does not say them."""

    day: date
    model: str
    cost: Decimal
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which bill: days from ``since`` up to, without, ``until``; of some projects or workspaces, none: of all."""

    since: date
    until: date
    projects: tuple[str, ...] = ()


# --- the vendors' reports ---
def fetch(account: ProviderAccount, key: str, asked: Asked) -> list[Line]:
    """Return what the account's provider bills. ``key`` is used instead of the account's own; it goes to the same
    address. Raises :class:`NoInvoice`, ``Unreachable`` and ``TokenRefused``.
    """
    report = REPORTS.get(account.vendor.dialect if account.vendor.dialect == "anthropic" else account.kind)
    if report is None:
        raise NoInvoice(f"{account.kind} has no report that can be read. Give its invoice as a file with --csv.")
    if key:
        asker = ProviderAccount(kind=account.kind, name=account.name, base_url=account.base_url)
        asker.organization, asker.api_key = account.organization, key
    else:
        asker = account
    with account_client(asker, max_bytes=MAX_REPORT_BYTES) as client:
        try:
            return list(report(client, asked))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as fault:
            raise NoInvoice(
                f"The provider's answer is not a report that can be read ({type(fault).__name__}). Is the account's "
                "address the provider's own?"
            ) from None


def _openai(client: CheckedClient, asked: Asked) -> Iterator[Line]:
    span = {"start_time": _seconds(asked.since), "end_time": _seconds(asked.until), "bucket_width": "1d"}
    query: Sequence[tuple[str, Any]] = [*span.items(), ("limit", REPORT_DAYS)]
    query = [*query, *(("project_ids", one) for one in asked.projects)]
    for bucket in _buckets(client, "organization/costs", [*query, ("group_by", "line_item")]):
        day = datetime.fromtimestamp(bucket["start_time"], UTC).date()
        for result in bucket["results"]:
            item = result.get("line_item") or "(no line item)"
            yield Line(day, item.partition(",")[0], Decimal(str(result["amount"]["value"])))
    for bucket in _buckets(client, "organization/usage/completions", [*query, ("group_by", "model")]):
        day = datetime.fromtimestamp(bucket["start_time"], UTC).date()
        for result in bucket["results"]:
            model = result.get("model") or "(no model)"
            yield Line(day, model, Decimal(0), result["input_tokens"], result["output_tokens"])


def _anthropic(client: CheckedClient, asked: Asked) -> Iterator[Line]:
    span = {"starting_at": f"{asked.since}T00:00:00Z", "ending_at": f"{asked.until}T00:00:00Z", "bucket_width": "1d"}
    query: Sequence[tuple[str, Any]] = [*span.items(), ("limit", REPORT_DAYS), ("group_by[]", "workspace_id")]

    def results(path: str, group: str) -> Iterator[tuple[date, Mapping[str, Any]]]:
        for bucket in _buckets(client, path, [*query, ("group_by[]", group)]):
            for result in bucket["results"]:
                if not asked.projects or result.get("workspace_id") in asked.projects:
                    yield datetime.fromisoformat(bucket["starting_at"]).date(), result

    for day, result in results("organizations/cost_report", "description"):
        model = result.get("model") or result.get("description") or result.get("cost_type") or "(no description)"
        yield Line(day, model, Decimal(result["amount"]) / 100)  # it is in cents
    for day, result in results("organizations/usage_report/messages", "model"):
        written = sum((result.get("cache_creation") or {}).values())
        given = result["uncached_input_tokens"] + result["cache_read_input_tokens"] + written
        yield Line(day, result.get("model") or "(no model)", Decimal(0), given, result["output_tokens"])


REPORTS: Final[dict[str, Callable[[CheckedClient, Asked], Iterator[Line]]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
}


def _buckets(client: CheckedClient, path: str, query: Iterable[tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the days of a report, of all its pages."""
    query, page = list(query), ""
    for _ in range(MOST_PAGES):
        reply = client.call("GET", f"{path}?{urlencode([*query, *([('page', page)] if page else [])])}")
        if reply.status in (401, 403):
            raise NoInvoice(
                f"The provider refuses the key for its reports ({reply.status}). They need an admin key: put one into "
                "an environment variable, and name that with --key-variable."
            )
        if reply.status != 200:
            raise NoInvoice(f"{path} answered {reply.status}. Is the account's address the provider's own?")
        body = json.loads(reply.body)
        yield from body["data"]
        page, more = body.get("next_page") or "", body.get("has_more")
        if not more or not page:
            return
    raise NoInvoice(f"{path} has more than {MOST_PAGES} pages. Ask for fewer days.")


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


# --- CSV ---
COLUMNS: Final = {
    "day": ("day", "date", "usage_date", "start_date", "start_time", "billing_date", "chargeperiodstart"),
    "model": ("model", "model_name", "line_item", "sku", "description", "resourceid", "skuid"),
    "cost": ("cost", "cost_usd", "amount", "amount_usd", "usd", "total", "billedcost", "amount_value"),
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
}
"""What columns of files are called, in lower case; the first that is there counts."""
NEEDED: Final = ("day", "model", "cost")


def read_csv(file: TextIO, chosen: Mapping[str, str], asked: Asked) -> list[Line]:
    """Return the lines of a CSV file with a header; ``chosen`` names its columns. Raises :class:`NoInvoice`."""
    rows = csv.DictReader(file)
    columns = _columns_of(rows.fieldnames or [], chosen)
    found = []
    try:
        for row in rows:
            line = _line(row, columns, rows.line_num)
            if asked.since <= line.day < asked.until:
                found.append(line)
    except csv.Error as error:
        raise NoInvoice(f"Line {rows.line_num} is not CSV: {error}.") from None
    return found


def _columns_of(headers: Iterable[str], chosen: Mapping[str, str]) -> dict[str, str]:
    named = {header.strip().lower(): header for header in headers}
    found = {}
    for name, known in COLUMNS.items():
        wanted = (chosen[name].lower(),) if name in chosen else known
        header = next((named[one] for one in wanted if one in named), None)
        if header is not None:
            found[name] = header
        elif name in chosen or name in NEEDED:
            fix = f"Say which it is with --column {name}=HEADER; there are: {', '.join(named) or 'none'}."
            raise NoInvoice(f"The file has no column for the {name.replace('_', ' ')}. {fix}")
    return found


def _line(row: Mapping[str, Any], columns: Mapping[str, str], number: int) -> Line:
    values = {name: str(row.get(header) or "").strip() for name, header in columns.items()}
    try:
        return Line(
            _day(values["day"]),
            values["model"].partition(",")[0] or "(no model)",
            Decimal(values["cost"].replace("$", "").replace(",", "") or "0"),
            *(_whole(values[name]) if name in values else None for name in ("input_tokens", "output_tokens")),
        )
    except (ValueError, InvalidOperation, OverflowError, OSError):
        raise NoInvoice(
            f"Line {number} can't be read: its day must be like 2026-11-01 or unix seconds, its cost a number."
        ) from None


def _day(written: str) -> date:
    seconds = whole_number(written) if len(written) > len("20261101") else None
    if seconds is not None:
        return datetime.fromtimestamp(seconds, UTC).date()
    moment = datetime.fromisoformat(written)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date()


def _whole(written: str) -> int:
    number = whole_number(written.replace(",", "") or "0")
    if number is None:
        raise ValueError(written)
    return number
