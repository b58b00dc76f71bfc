"""Usage records as a Parquet file, by pyarrow, which is optional: the extra ``parquet``."""

import json
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import islice
from typing import IO, Any, Final

from usage.exports import COLUMNS
from usage.models import UsageRecord

GROUP: Final = 20_000
"""Records of a row group: some ten megabytes in memory."""
KINDS: Final = {name: UsageRecord._meta.get_field(name).get_internal_type() for name in COLUMNS}


class Missing(Exception):
    """The package is not installed. The message says how to install it."""


def fault() -> str | None:
    """Say why no file can be written, or ``None``."""
    return None if find_spec("pyarrow") else "Parquet needs pyarrow: pip install pyarrow."


def write(out: IO[bytes], records: Iterable[UsageRecord]) -> int:
    """Write records; return how many there were.

    Times are timestamps in UTC, ``cost_usd`` an exact decimal (null: unpriced), lists and objects JSON in text. Raises
    :class:`Missing`, and ``OSError`` when it can't be written.
    """
    if why := fault():
        raise Missing(why)
    import pyarrow  # optional, and slow
    from pyarrow import parquet  # optional

    kinds = {
        "DateTimeField": pyarrow.timestamp("us", "UTC"),
        "BooleanField": pyarrow.bool_(),
        "IntegerField": pyarrow.int32(),
        "BigIntegerField": pyarrow.int64(),
    }
    fields = [(name, kinds.get(kind, pyarrow.string())) for name, kind in KINDS.items()]
    schema = pyarrow.schema([*fields, ("cost_usd", pyarrow.decimal128(38, 12))])
    number, rest = 0, iter(records)
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        while rows := [_row(record) for record in islice(rest, GROUP)]:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
            number += len(rows)
    return number


def _row(record: UsageRecord) -> dict[str, Any]:
    return {name: _plain(kind, getattr(record, name)) for name, kind in KINDS.items()} | {"cost_usd": record.cost}


def _plain(kind: str, value: Any) -> Any:
    if kind == "JSONField":
        return json.dumps(value, ensure_ascii=False)
    return str(value) if kind == "UUIDField" else value
