"""Records as rows: how lines of the spool get into the database, quickly and each once.

A batch goes in as a whole: with COPY on PostgreSQL, with INSERTs of some rows on SQLite. The sums by the hour
(``usage.rollups``) follow in the same transaction. Lines of a batch that was stored before, which happens when a
process died between commit and cleaning up, are known by their key and skipped. A line that the database refuses for
what it says is fixed (strings cut, numbers bounded) or, failing that, given back as rejected.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache, lru_cache
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, Final

import msgspec
from django.db import DataError, IntegrityError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from accounts.raw_sql import execute
from usage import rollups
from usage.models import UsageRecord
from usage.records import AttemptRecord

Row = tuple[Any, ...]

EPOCH: Final = datetime(1970, 1, 1)
FIELDS: Final = UsageRecord._meta.concrete_fields
TABLE: Final = UsageRecord._meta.db_table
NAMES: Final = tuple(field.attname for field in FIELDS)
PLACES: Final = {name: place for place, name in enumerate(NAMES)}
COLUMNS: Final = ", ".join(f'"{field.column}"' for field in FIELDS)
REFUSALS: Final = (DataError, IntegrityError, OverflowError, ValueError)
"""What a database says to a value, as opposed to what it says when it is unavailable."""
RENAMED: Final = {"id": "attempt_id", "created_at": "started_at"}
"""Columns that a record has under another name. All others, and their order, come from the model."""
CUT: Final = frozenset(
    {"model_asked", "model_served", "model_resolved", "service_tier", "upstream_request_id", "object_id"}
)
"""Columns that callers and upstreams fill: cut to their length. The others are bounded where they are filled."""
CHUNK: Final = 32
"""Records at a time, with a pause between them: about 0.2 ms, less than threads wait for the interpreter."""
PAUSE_SECONDS: Final = 0.00005
EMPTY: Final[dict[type, str]] = {dict: "{}", list: "[]"}
INT_MAX: Final = {"IntegerField": 2**31 - 1, "BigIntegerField": 2**63 - 1}


class Columns(Mapping[str, Any]):
    """The values of a row by the names of their columns. It costs little, as most are asked for nothing."""

    __slots__ = ("_values",)

    def __init__(self, values: Row) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[PLACES[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


COUNTED: list[Callable[[list[Columns], str], None]] = []
"""What else counts records that were not there before, in the transaction that stored them: columns by name, and the
database's alias."""

_decode = msgspec.json.Decoder(AttemptRecord).decode
_encode = msgspec.json.Encoder().encode


def _converter(field: "models.Field[Any, Any]") -> Callable[[Any], Any] | None:
    """Return what makes a record's value one of the field's column; ``None`` when it is one already."""
    kind, bound = field.get_internal_type(), field.max_length
    if kind == "UUIDField":
        return lambda text: text.replace("-", "")
    if kind == "DateTimeField":
        return _moment
    if kind == "JSONField":
        return lambda value: _encode(value).decode() if value else EMPTY[type(value)]
    return (lambda text: text[:bound]) if field.name in CUT else None


def _moment(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{fraction:06}" if fraction else _second(seconds)


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return str(EPOCH + timedelta(seconds=seconds))


_read: Final = attrgetter(*(RENAMED.get(field.name, field.name) for field in FIELDS))
CONVERTED: Final = [
    (place, convert) for place, field in enumerate(FIELDS) if (convert := _converter(field)) is not None
]
"""The places of a row whose values are not stored as a record has them, and what converts them."""
_summed: Final = itemgetter(*(PLACES[name] for name in rollups.READ))


_escape: Final = re.compile(rb"\\(?:u0000|.)", re.DOTALL)
"""One escape of JSON: the second backslash of an escaped one begins none."""


def give_way() -> None:
    """Let the event loop's thread have the interpreter: a real sleep, for ``sleep(0)`` often gets it straight back."""
    time.sleep(PAUSE_SECONDS)


def _without_nul(escape: re.Match[bytes]) -> bytes:
    return b"" if escape[0] == b"\\u0000" else escape[0]


def decode(line: bytes) -> AttemptRecord:
    """Return the record of a line. Raises ``ValueError`` (``msgspec.MsgspecError`` is one) when it is not a valid
    one."""
    if b"\\u0000" in line:  # PostgreSQL's strings can't hold it
        line = _escape.sub(_without_nul, line)
    return _decode(line)


def row(record: AttemptRecord) -> Row:
    """Return the values of ``record`` in the order of ``FIELDS``."""
    values = list(_read(record))
    for place, convert in CONVERTED:
        values[place] = convert(values[place])
    return tuple(values)


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
    """Yield the cursor of a transaction that is on disk once it is committed: what it stores is deleted from the spool
    then."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # an operator may have switched it off, for speed elsewhere
            cursor.execute("SET LOCAL synchronous_commit = on")
        yield cursor


def _copy(connection: BaseDatabaseWrapper, rows: list[Row], pause: Callable[[], None]) -> None:
    """Store by COPY, a tenth of the cost of inserting; it can't skip, so rows that are there already go the other
    way."""
    try:
        # Django translates errors of its cursor's own calls, but not those that leave a COPY.
        with (
            _durable(connection) as cursor,
            connection.wrap_database_errors,
        ):
            with cursor.copy(f"COPY {TABLE} ({COLUMNS}) FROM STDIN") as copy:
                for number, values in enumerate(rows):
                    copy.write_row(values)
                    if number % CHUNK == CHUNK - 1:
                        pause()
            # All of them are new: a row that is there already fails the whole.
            _add_to_hours(connection.alias, rows, pause)
    except IntegrityError:
        _insert(connection, rows, pause)


def _insert(connection: BaseDatabaseWrapper, rows: list[Row], pause: Callable[[], None]) -> None:
    """Store by INSERT, skipping rows that are there already."""
    with _durable(connection) as cursor:
        stored: set[str] = set()
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            execute(cursor, connection, _insert_statement(len(chunk)), list(chain.from_iterable(chunk)))
            stored.update(_ids(cursor))
            pause()
        # By id, so that a line that is twice in the batch counts once, like its record.
        new = {values[0]: values for values in reversed(rows) if values[0] in stored}
        _add_to_hours(connection.alias, list(new.values()), pause)


@cache
def _insert_statement(count: int = 1) -> str:
    """Return the statement that inserts ``count`` rows, skips those that are there, and returns the ids of the
    others."""
    places = f"({', '.join(['%s'] * len(FIELDS))})"
    values = ", ".join([places] * count)
    # Names of ours only.
    return f"INSERT INTO {TABLE} ({COLUMNS}) VALUES {values} ON CONFLICT DO NOTHING RETURNING id"  # noqa: S608


def _ids(cursor: CursorWrapper) -> set[str]:
    return {str(found).replace("-", "") for (found,) in cursor.fetchall()}


def _add_to_hours(using: str, rows: list[Row], pause: Callable[[], None]) -> None:
    def records() -> Iterator[Row]:
        for number, values in enumerate(rows):
            yield _summed(values)
            if number % CHUNK == CHUNK - 1:
                pause()

    if rows:
        rollups.add(records(), using)
        for counted in COUNTED:
            counted(list(map(Columns, rows)), using)


def _store_each(lines: Sequence[bytes], using: str, skip: set[bytes]) -> list[bytes]:
    """Store line by line, fixing those that are refused; return those that are refused even then."""
    rejected: list[bytes] = []
    stored: list[Row] = []
    statement = _insert_statement()
    with _durable(connections[using]) as cursor:
        for line in lines:
            if line in skip:
                continue
            values = row(decode(line))
            for attempt in (values, fixed(values)):
                try:
                    with transaction.atomic(using=using):
                        cursor.execute(statement, attempt)
                        if _ids(cursor):
                            stored.append(attempt)
                    break
                except REFUSALS:
                    continue
            else:
                rejected.append(line)
        _add_to_hours(using, stored, give_way)
    return rejected


def fixed(values: Row) -> Row:
    """Return ``values`` with every string and number brought into the bounds of its column."""
    return tuple(_fixed(field, value) for field, value in zip(FIELDS, values, strict=True))


def _fixed(field: "models.Field[Any, Any]", value: Any) -> Any:
    bound = INT_MAX.get(field.get_internal_type())
    if bound is not None and isinstance(value, int):
        if field.column == "cost_pico" and abs(value) > bound:
            return None  # a wrong sum is worse than none
        return max(-bound, min(bound, value))
    if isinstance(value, str) and field.max_length:
        return value[: field.max_length].replace("\x00", "")
    return value
