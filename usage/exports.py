"""Usage records as CSV."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from usage.models import UsageRecord

COLUMNS = tuple(field.name for field in UsageRecord._meta.concrete_fields if field.name != "cost_pico")
HEADER = (*COLUMNS, "cost_usd")
# A spreadsheet would run a text that begins like this as a formula.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(records: Iterable[UsageRecord]) -> str:
    """Return the records as CSV with a header line. Times are ISO 8601 in UTC, the cost is in exact US dollars."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADER)
    for record in records:
        cost = record.cost
        writer.writerow(
            [*(_cell(getattr(record, name)) for name in COLUMNS), "" if cost is None else f"{cost:f}"],
        )
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_SIGNS) else value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return "" if value is None else value
