"""Logs: one line a call, as text or JSON. Never a body, a token, a key or a header's value."""

import asyncio
import contextlib
import logging
import sys
from time import perf_counter_ns
from typing import Any, Protocol

from django.conf import settings

from gateway.call.call import Call
from gateway.config.log_format import LINES, moment

logger = logging.getLogger("gateway.calls")
QUIET_PATHS = frozenset({"/healthz", "/readyz"})
FLUSH_SECONDS = 0.1


class Logged(Protocol):
    """What a log line says of a request or a socket."""

    path: str
    request_id: str
    call: Call | None

    @property
    def asked_method(self) -> str:
        """The HTTP method that the client sent, or ``WEBSOCKET``."""


class LineBuffer:
    """Collects the lines of calls and writes them a few times a second: one write for many calls, off their path.

    While it is ``muted``, calls leave no line.
    """

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self.muted = False

    def add(self, line: bytes) -> None:
        """Take a line; call it in the event loop."""
        self._lines.append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what is there. A reader of ours that went away loses lines, never calls."""
        self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(b"".join(lines).decode("utf-8", "replace"))
                sys.stderr.flush()


buffer = LineBuffer()


def log_call(request: Logged, status: int) -> None:
    """Log one finished call."""
    if buffer.muted or request.path in QUIET_PATHS or not logger.isEnabledFor(logging.INFO):
        return
    fields: dict[str, Any] = {
        "time": moment(),
        "level": "info",
        "event": "call",
        "status": status,
        "method": request.asked_method,
        "path": request.path[:200],
        "request_id": request.request_id,
    }
    call = request.call
    if call is not None:
        fields["caller"] = f"{call.caller.subject_type}:{call.caller.subject_name}"
        fields["token"] = call.caller.prefix
        fields["model"] = call.model_asked[:200]
        fields["served_by"] = call.target.model.public_name if call.target is not None else None
        fields["stream"] = call.stream
        fields["attempts"] = call.attempt.number if call.attempt is not None else 0
        fields["ms"] = (perf_counter_ns() - call.started_ns) // 10_000 / 100
        fields["upstream_ms"] = int(call.attempt.upstream_ms * 100) / 100 if call.attempt is not None else 0.0
        fields["error"] = call.error
    buffer.add(f"{_line(fields)}\n".encode("utf-8", "replace"))


_line = LINES[settings.LOG_FORMAT]
