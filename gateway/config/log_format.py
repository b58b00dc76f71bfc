"""The form of a log line: readable text, or a JSON object. Named by the settings, so it must not need them.

A line's fields are ``time``, ``level``, ``event`` and whatever else there is to say.
"""

import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from accounts.printable import printable

HEAD = frozenset({"time", "level", "event", "logger", "trace"})
PLAIN = re.compile(r"[!#-<>-~]+")
Line = Callable[[Mapping[str, Any]], str]
_encode = msgspec.json.Encoder().encode


def moment(seconds: float | None = None) -> str:
    """Return a time as lines write it, in UTC; by default now."""
    when = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return when.isoformat(timespec="milliseconds")


def json_line(fields: Mapping[str, Any]) -> str:
    """Return a line as a JSON object."""
    return _encode(fields).decode()


def text_line(fields: Mapping[str, Any]) -> str:
    """Return a line for people; a traceback follows it."""
    words = [f"{name}={_word(value)}" for name, value in fields.items() if value not in (None, "") and name not in HEAD]
    head = f"{fields['time']} {fields['level'].upper():<7} {fields['event']}"
    trace = fields.get("trace")
    return " ".join([head, *words]) + (f"\n{trace}" if trace else "")


def _word(value: object) -> str:
    """Return a value as one word. A caller chooses model and path: they must not make words or lines of their own."""
    text = str(value)
    return text if PLAIN.fullmatch(text) else printable(_encode(text).decode())


LINES: dict[str, Line] = {"text": text_line, "json": json_line}


class LineFormatter(logging.Formatter):
    """Writes a record of ``logging`` as a line. A record's ``fields`` are its structured part."""

    def __init__(self, style_name: str) -> None:
        super().__init__()
        self._line = LINES[style_name]

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; an exception's traceback follows it, or is a field of the JSON."""
        fields: dict[str, Any] = {
            "time": moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return self._line(fields)
