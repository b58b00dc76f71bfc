"""Usage records as CSV."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from usage.models import UsageRecord

COLUMNS = tuple(field.name for field in UsageRecord._meta.concrete_fields if field.name != "cost_pico")
HEADER = (*COLUMNS, "cost_usd")
# A spreadsheet would run a string that begins like this as a formula.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
# A cost below zero, of a correction, is not a formula.
NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


def to_csv(records: Iterable[UsageRecord]) -> str:
    """Return the records as CSV with a header line. Times are ISO 8601 in UTC, the cost is in exact US dollars."""
    out = io.StringIO()
    write_csv(out, HEADER, plain_rows(records))
    return out.getvalue()


def write_csv(out: Any, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as CSV with a header line; return how many there were."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    number = 0
    for row in rows:
        writer.writerow([harmless(row[name]) for name in columns])
        number += 1
    return number


def plain_rows(records: Iterable[UsageRecord]) -> Iterator[dict[str, Any]]:
    """Yield records as JSON values by column: times as ISO 8601, ids as strings, the cost as a decimal string."""
    for record in records:
        row = {name: _plain(getattr(record, name)) for name in COLUMNS}
        yield row | {"cost_usd": None if record.cost is None else f"{record.cost:f}"}


def harmless(value: Any) -> Any:
    """Return a value as a cell of CSV that no spreadsheet runs."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_SIGNS) and not NUMBER.fullmatch(value) else value
    return "" if value is None else value


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value
