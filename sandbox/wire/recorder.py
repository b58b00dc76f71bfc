"""What was received, for tests to look at: the last requests in bounded memory, and counters."""

import base64
import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_REQUESTS = 1000
MAX_BYTES = 64 * 1024 * 1024
MAX_BODY = 2 * 1024 * 1024
MAX_MESSAGES = 1000
MAX_MESSAGE = 10_000


@dataclass(slots=True, eq=False)
class Record:
    """One request as received. Times are seconds since the epoch; `status` is 0 until an answer begins."""

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    received_at: float
    body: bytearray = field(default_factory=bytearray)
    body_bytes: int = 0
    body_hash: Any = field(default_factory=hashlib.sha256)
    status: int = 0
    chunks_sent: int = 0
    completed_at: float | None = None
    disconnected_at: float | None = None
    messages: list[str] = field(default_factory=list)

    def add_message(self, message: str | bytes) -> None:
        """Records a WebSocket message: the first thousand, each up to 10,000 characters; binary as base64."""
        if len(self.messages) < MAX_MESSAGES:
            text = message if isinstance(message, str) else base64.b64encode(message).decode()
            self.messages.append(text[:MAX_MESSAGE])

    def as_dict(self) -> dict[str, Any]:
        """The shape of one item of `GET /sandbox/requests`."""
        return {
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers],
            "body": base64.b64encode(self.body).decode(),
            "body_bytes": self.body_bytes,
            "body_sha256": self.body_hash.hexdigest(),
            "received_at": self.received_at,
            "status": self.status,
            "chunks_sent": self.chunks_sent,
            "completed_at": self.completed_at,
            "disconnected": self.disconnected_at is not None,
            "disconnected_at": self.disconnected_at,
            "messages": self.messages,
        }


class Recorder:
    """The last requests, at most 1,000 and 64 MB of bodies; each body is kept up to 2 MB."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self._bytes = 0

    def add(self, record: Record) -> None:
        self._records.append(record)
        self._trim()

    def add_body(self, record: Record, piece: bytes) -> None:
        """Records the next piece of a body; beyond 2 MB only its size and hash."""
        record.body_bytes += len(piece)
        record.body_hash.update(piece)
        kept = piece[: MAX_BODY - len(record.body)]
        record.body += kept
        self._bytes += len(kept)
        self._trim()

    def clear(self) -> None:
        self._records.clear()
        self._bytes = 0

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def _trim(self) -> None:
        while self._records and (len(self._records) > MAX_REQUESTS or self._bytes > MAX_BYTES):
            self._bytes -= len(self._records.popleft().body)


@dataclass(slots=True)
class Stats:
    """Counters of the process; `open_connections` counts HTTP connections, WebSockets are apart."""

    open_connections: int = 0
    active_requests: int = 0
    active_streams: int = 0
    open_websockets: int = 0
    total_requests: int = 0
    total_chunks: int = 0
    by_status: dict[int, int] = field(default_factory=dict)

    def count(self, status: int) -> None:
        self.by_status[status] = self.by_status.get(status, 0) + 1
