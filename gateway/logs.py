"""Logs: one line a call, as text or JSON. Never a body, a token, a key or a header's value."""

import logging
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from gateway.handler import InferenceRequest

logger = logging.getLogger("gateway.calls")
QUIET_PATHS = frozenset({"/healthz", "/readyz"})


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


def log_call(request: "InferenceRequest", status: int) -> None:
    """Log one finished call."""
    if request.path in QUIET_PATHS or not logger.isEnabledFor(logging.INFO):
        return
    fields: dict[str, Any] = {
        "status": status,
        "method": request.method,
        "path": request.path[:200],
        "request_id": request.request_id,
    }
    call = request.call
    if call is not None:
        fields |= {
            "caller": f"{call.caller.subject_type}:{call.caller.subject_name}",
            "token": call.caller.prefix,
            "model": call.model_asked[:200],
            "served_by": call.target.model.public_name if call.target is not None else None,
            "stream": call.stream,
            "attempts": call.attempts,
            "ms": round((perf_counter_ns() - call.started_ns) / 1e6, 2),
            "upstream_ms": round(call.timings.get("upstream", 0.0), 2),
            "error": call.error,
        }
    logger.info("call", extra={"fields": fields})
