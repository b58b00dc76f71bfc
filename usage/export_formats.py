"""The forms in which usage leaves: CSV, JSON lines and Parquet of records, and bills by the hour as FOCUS has them."""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import IO, Any, Final

from usage import parquet
from usage.exports import HEADER, plain_rows, write_csv
from usage.focus import COLUMNS, focus_rows
from usage.models import UsageRecord

CHUNK: Final = 2000

Moment = datetime | None


def records(since: Moment, until: Moment, account: str = "") -> Iterator[UsageRecord]:
    """Yield the records from ``since`` up to, without, ``until``, oldest first, a part at a time."""
    found = UsageRecord.objects.order_by("created_at", "id")
    if since is not None:
        found = found.filter(created_at__gte=since)
    if until is not None:
        found = found.filter(created_at__lt=until)
    return (found.filter(account=account) if account else found).iterator(CHUNK)


def write(form: str, out: IO[bytes], since: Moment, until: Moment, account: str = "") -> int:
    """Write what there is between two moments in one of ``FORMS``; return how many rows there were.

    Raises ``OSError`` when it can't be written, ``usage.parquet.Missing`` when a package for it is not installed.
    """
    return FORMS[form](out, since, until, account)


def _csv(out: IO[bytes], since: Moment, until: Moment, account: str) -> int:
    return _as_text(out, lambda text: write_csv(text, HEADER, plain_rows(records(since, until, account))))


def _jsonl(out: IO[bytes], since: Moment, until: Moment, account: str) -> int:
    return _as_text(out, lambda text: _write_lines(text, plain_rows(records(since, until, account))))


def _focus(out: IO[bytes], since: Moment, until: Moment, account: str) -> int:
    return _as_text(out, lambda text: write_csv(text, COLUMNS, focus_rows(since, until, account)))


def _parquet(out: IO[bytes], since: Moment, until: Moment, account: str) -> int:
    return parquet.write(out, records(since, until, account))


def _as_text(out: IO[bytes], writing: Callable[[Any], int]) -> int:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    try:
        number = writing(text)
        text.flush()  # a full disk is reported now, not at the interpreter's end
    finally:
        text.detach()
    return number


def _write_lines(out: Any, rows: Iterable[Mapping[str, Any]]) -> int:
    number = 0
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        number += 1
    return number


FORMS: Final[dict[str, Callable[[IO[bytes], Moment, Moment, str], int]]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "focus": _focus,
    "parquet": _parquet,
}
"""What writes each form."""
