"""The form of a log line: readable text, or a JSON object. Named by the settings, so it must not need them."""

import logging
from datetime import UTC, datetime
from typing import Any

import msgspec


class LineFormatter(logging.Formatter):
    """Writes a record as one line: readable text, or a JSON object. A record's ``fields`` are its structured part."""

    def __init__(self, style_name: str) -> None:
        super().__init__()
        self._json = style_name == "json"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; an exception's traceback follows it, or is a field of the JSON."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if self._json:
            line = {
                "time": moment,
                "level": record.levelname.lower(),
                "logger": record.name,
                "event": record.getMessage(),
            }
            return msgspec.json.encode(line | fields | ({"trace": trace} if trace else {})).decode()
        words = " ".join(f"{name}={value}" for name, value in fields.items() if value not in (None, ""))
        line_text = f"{moment} {record.levelname:<7} {record.getMessage()} {words}".rstrip()
        return f"{line_text}\n{trace}" if trace else line_text
