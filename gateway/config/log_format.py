"""The form of a log line: readable text, or a JSON object. Named by the settings, so it must not need them.

A line's fields are ``time``, ``level``, ``event`` and whatever else there is to say.
"""

import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import Any

import msgspec

from accounts.printable import printable

HEAD = frozenset({"time", "level", "event", "logger", "trace"})
PLAIN = re.compile(r"[!#-<>-~]+")
EMPTY = (None, "")
Line = Callable[[Mapping[str, Any]], str]
_encode = msgspec.json.Encoder().encode


def moment(seconds: float | None = None) -> str:
    """Return a time as lines write it, in UTC; by default now."""
    whole, milliseconds = divmod(round((time() if seconds is None else seconds) * 1000), 1000)
    return f"{_second(whole)}.{milliseconds:03d}+00:00"


@lru_cache(maxsize=4)
def _second(whole: int) -> str:
    """Return a second of unix time as lines begin with it: many lines share one."""
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def json_line(fields: Mapping[str, Any]) -> str:
    """Return a line as a JSON object."""
    return _encode(fields).decode()


def text_line(fields: Mapping[str, Any]) -> str:
    """Return a line for people; a traceback follows it."""
    # What is true says something: only of the rest is more asked, as the log has a line for every call.
    words = [f"{name}={value}" for name, value in fields.items() if (value or value not in EMPTY) and name not in HEAD]
    said = " ".join(words)
    if not _is_plain(said, len(words)):
        values = {name: str(value) for name, value in fields.items() if value not in EMPTY and name not in HEAD}
        said = " ".join([f"{name}={_word(value)}" for name, value in values.items()])
    line = f"{fields['time']} {fields['level'].upper():<7} {fields['event']}{' ' if words else ''}{said}"
    trace = fields.get("trace")
    return f"{line}\n{trace}" if trace else line


def _is_plain(said: str, words: int) -> bool:
    """Whether each of so many words has a ``PLAIN`` value: then spaces and equals signs are only between them."""
    ours = said.count("=") == words and said.count(" ") == words - 1
    return ours and '"' not in said and said.isascii() and said.isprintable()


def _word(text: str) -> str:
    """Return a value as one word. A caller chooses model and path: they must not make words or lines of their own."""
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
