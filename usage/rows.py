"""Records as rows: how lines of the spool get into the database, quickly and each once.

A batch goes in as a whole: with COPY on PostgreSQL, with one prepared INSERT on SQLite. Lines of a batch that was stored
before, which happens when a process died between commit and cleaning up, are told by their key and skipped. A line that
the database refuses for what it says is mended (texts cut, numbers bounded) or, failing that, given back as rejected.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from django.db import DataError, IntegrityError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from usage.models import UsageRecord
from usage.records import AttemptRecord

Row = tuple[Any, ...]

EPOCH: Final = datetime(1970, 1, 1)
FIELDS: Final = UsageRecord._meta.concrete_fields
TABLE: Final = UsageRecord._meta.db_table
COLUMNS: Final = ", ".join(f'"{field.column}"' for field in FIELDS)
REFUSALS: Final = (DataError, IntegrityError, OverflowError, ValueError)
"""What a database says to a value, as opposed to what it says when it is unavailable."""
CHUNK: Final = 16
PAUSE_SECONDS: Final = 0.00005
INT_MAX: Final = {"IntegerField": 2**31 - 1, "BigIntegerField": 2**63 - 1}

_decode = msgspec.json.Decoder(AttemptRecord).decode
_encode = msgspec.json.Encoder().encode


def give_way() -> None:
    """Let the event loop's thread have the interpreter: a real sleep, for ``sleep(0)`` often gets it straight back."""
    time.sleep(PAUSE_SECONDS)


def decode(line: bytes) -> AttemptRecord:
    """Return the record of a line. Raises ``ValueError`` (``msgspec.MsgspecError`` is one) when it is none."""
    if b"\\u0000" in line:  # PostgreSQL's texts can't hold it
        line = line.replace(b"\\u0000", b"")
    return _decode(line)


def row(record: AttemptRecord) -> Row:
    """Return the values of ``record`` in the order of ``FIELDS``."""
    return (
        record.attempt_id.replace("-", ""),
        str(EPOCH + timedelta(microseconds=record.started_at)),
        record.request_id,
        record.subject_type,
        record.subject_id,
        record.subject_name,
        record.token_id,
        record.token_prefix,
        _encode(record.teams).decode(),
        record.account,
        record.provider,
        record.model_asked[:300],
        record.model_served[:300],
        record.operation,
        record.endpoint,
        record.stream,
        record.attempt_number,
        record.status,
        record.upstream_status,
        record.error_class,
        record.latency_us,
        record.ttft_us,
        record.input_tokens,
        record.cached_tokens,
        record.cache_write_tokens,
        record.output_tokens,
        record.reasoning_tokens,
        record.audio_input_tokens,
        record.audio_output_tokens,
        record.image_input_tokens,
        record.image_output_tokens,
        _encode(record.units).decode(),
        record.service_tier[:24],
        record.price_version,
        record.price_gaps,
        record.cost_pico,
        _encode(record.metadata).decode(),
        record.client_gone,
        record.bytes_in,
        record.bytes_out,
        record.upstream_request_id[:200],
        record.object_id[:200],
        record.batch_key,
        record.batch_line,
        record.error_message,
        record.estimated,
    )


def store(lines: Sequence[bytes], using: str, pause: Callable[[], None] = give_way) -> list[bytes]:
    """Put ``lines`` into the database, all in one transaction; return those that it can't take.

    Lines whose attempt is already there change nothing. Raises ``django.db.Error`` when the database is unavailable;
    then nothing was stored.
    """
    rows: list[Row] = []
    rejected: list[bytes] = []
    for number, line in enumerate(lines):
        try:
            rows.append(row(decode(line)))
        except (ValueError, OverflowError):
            rejected.append(line)
        if number % CHUNK == CHUNK - 1:
            pause()
    if not rows:
        return rejected
    connection = connections[using]
    try:
        if connection.vendor == "postgresql":
            _copy(connection, rows, pause)
        else:
            _insert(connection, rows, pause)
    except REFUSALS:
        rejected += _store_each(lines, using, set(rejected))
    return rejected


@contextmanager
def _durable(connection: BaseDatabaseWrapper) -> Iterator[Any]:
    """Yield the cursor of a transaction that is on disk once it is committed: what it stores is deleted from the spool then."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # an operator may have switched it off, for speed elsewhere
            cursor.execute("SET LOCAL synchronous_commit = on")
        yield cursor


def _copy(connection: BaseDatabaseWrapper, rows: list[Row], pause: Callable[[], None]) -> None:
    """Store by COPY, a tenth of the cost of inserting; it can't skip, so rows that are there already go the other way."""
    try:
        # Django translates errors of its cursor's own calls, but not those that leave a COPY.
        with (
            _durable(connection) as cursor,
            connection.wrap_database_errors,
            cursor.copy(f"COPY {TABLE} ({COLUMNS}) FROM STDIN") as copy,
        ):
            for number, values in enumerate(rows):
                copy.write_row(values)
                if number % CHUNK == CHUNK - 1:
                    pause()
    except IntegrityError:
        _insert(connection, rows, pause)


def _insert(connection: BaseDatabaseWrapper, rows: list[Row], pause: Callable[[], None]) -> None:
    """Store by INSERT, skipping rows that are there already."""
    statement = _insert_statement()
    with _durable(connection) as cursor:
        for start in range(0, len(rows), CHUNK):
            cursor.executemany(statement, rows[start : start + CHUNK])
            pause()


def _insert_statement() -> str:
    places = ", ".join(["%s"] * len(FIELDS))
    return f"INSERT INTO {TABLE} ({COLUMNS}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours only


def _store_each(lines: Sequence[bytes], using: str, skip: set[bytes]) -> list[bytes]:
    """Store line by line, mending those that are refused; return those that are refused even then."""
    rejected: list[bytes] = []
    statement = _insert_statement()
    with _durable(connections[using]) as cursor:
        for line in lines:
            if line in skip:
                continue
            values = row(decode(line))
            for attempt in (values, mended(values)):
                try:
                    with transaction.atomic(using=using):
                        cursor.execute(statement, attempt)
                    break
                except REFUSALS:
                    continue
            else:
                rejected.append(line)
    return rejected


def mended(values: Row) -> Row:
    """Return ``values`` with every text and number brought into the bounds of its column."""
    return tuple(_mended(field, value) for field, value in zip(FIELDS, values, strict=True))


def _mended(field: "models.Field[Any, Any]", value: Any) -> Any:
    bound = INT_MAX.get(field.get_internal_type())
    if bound is not None and isinstance(value, int):
        if field.column == "cost_pico" and abs(value) > bound:
            return None  # a wrong sum is worse than none
        return max(-bound, min(bound, value))
    if isinstance(value, str) and field.max_length:
        return value[: field.max_length].replace("\x00", "")
    return value
