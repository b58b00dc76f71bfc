"""The request log: bodies of calls, kept where the operator asks for it. Off by default.

Calls only put references into a queue of bounded size. A thread redacts, cuts, compresses and encrypts the bodies and
stores them beside the usage records, or in an object store with an index there. While that is unavailable, they wait;
when they are too many, they are dropped and counted. No call ever waits for it.
"""

import logging
import threading
import zlib
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

from cryptography.fernet import InvalidToken
from django.db import connection
from fernet_fields import EncryptedTextField

from accounts.backoff import backoff
from accounts.raw_sql import execute
from accounts.worker_thread import WorkerThread
from usage import body_store
from usage.models import LoggedCall
from usage.redacting import Redactor
from usage.rows import give_way

logger = logging.getLogger(__name__)

BATCH = 50
ROUND_SECONDS = 1.0
STORE_BATCH = 200
STORE_ROUND_SECONDS = 5.0
"""Objects cost by the piece: they are fewer, and larger."""
LONGEST_PAUSE_SECONDS = 15.0
SPARE_BYTES = 4096
"""Beyond the limit, so that what would be cut in the middle is still recognized by the redaction."""
TEXTS = ("application/json", "text/", "application/x-ndjson")

CREATED: Final = LoggedCall._meta.get_field("created_at")
FIELDS: Final = [CREATED, *(field for field in LoggedCall._meta.concrete_fields if field is not CREATED)]
TABLE: Final = LoggedCall._meta.db_table
COLUMNS: Final = ", ".join(f'"{field.column}"' for field in FIELDS)
_values: Final = attrgetter(*(field.attname for field in FIELDS))
GIVE_WAY_ROWS: Final = 3
"""So many rows take about 0.2 ms, less than threads wait for the interpreter."""

_cipher = EncryptedTextField()


class Bodies(NamedTuple):
    """What a call said and was answered. The sizes are those of the whole; ``parts`` is the answer's beginning."""

    request_id: str
    subject_type: str
    subject_id: int
    account: str
    request: bytes
    request_size: int
    parts: Sequence[bytes]
    response_size: int

    @property
    def held(self) -> int:
        """How many bytes it holds in memory."""
        return len(self.request) + sum(len(part) for part in self.parts)


class Capture:
    """Collects the beginning of an answer on its way to the client."""

    __slots__ = ("_limit", "parts", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, part: bytes) -> None:
        """Take a part."""
        if self.size < self._limit:
            self.parts.append(part[: self._limit - self.size])
        self.size += len(part)


class RequestLog:
    """Keeps ``limit`` bytes of each body; up to ``memory`` bytes wait. ``in_store`` says that they go into objects."""

    def __init__(self, redactor: Redactor, *, limit: int, memory: int, in_store: bool = False) -> None:
        self.limit = limit
        self._in_store = in_store
        self._batch, self._pause = (STORE_BATCH, STORE_ROUND_SECONDS) if in_store else (BATCH, ROUND_SECONDS)
        self.dropped = 0
        self._redactor = redactor
        self._memory = memory
        self._held = 0
        self._queue: deque[Bodies] = deque()
        self._lock = threading.Lock()
        self._failed = ""
        self._thread = WorkerThread(
            "gatehouse-request-log", self._round, failed=self._note_failure, ending=self._finish
        )

    def capture(self, kind: str) -> Capture | None:
        """Return what collects an answer of a media type; ``None`` for one that is not text."""
        return Capture(self.limit + SPARE_BYTES) if kind.startswith(TEXTS) else None

    def add(self, bodies: Bodies) -> None:
        """Take the bodies of a call that ended."""
        size = bodies.held
        with self._lock:
            if self._held + size > self._memory:
                self.dropped += 1
                return
            self._held += size
            self._queue.append(bodies)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self) -> None:
        """Store what is there, and end."""
        self._thread.stop(5)

    def _round(self) -> float:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
            try:
                rows = []
                for bodies in batch:
                    rows.append(self._row(bodies))
                    if len(rows) % GIVE_WAY_ROWS == 0:
                        give_way()
                if self._in_store:
                    _move_into_object(rows)
                _insert(rows)
            except Exception:  # each storage has errors of its own
                self._queue.extendleft(reversed(batch))
                raise
            with self._lock:
                self._held -= sum(bodies.held for bodies in batch)
        if self._failed:
            logger.info("Bodies are stored again.")
            self._failed = ""
        return self._pause

    def _row(self, bodies: Bodies) -> LoggedCall:
        return LoggedCall(
            request_id=bodies.request_id,
            created_at=datetime.now(UTC),
            subject_type=bodies.subject_type,
            subject_id=bodies.subject_id,
            account=bodies.account,
            request=self._sealed(bodies.request),
            request_bytes=bodies.request_size,
            response=self._sealed(b"".join(bodies.parts)),
            response_bytes=bodies.response_size,
        )

    def _sealed(self, body: bytes) -> bytes:
        text = self._redactor.text(body[: self.limit + SPARE_BYTES].decode("utf-8", "replace"))
        return seal(text.encode()[: self.limit])

    def _note_failure(self, error: Exception, before: int) -> float:
        name = type(error).__name__
        if name != self._failed:
            logger.error("Bodies can't be stored: %s.", name)
        self._failed = name
        connection.close()
        return backoff(before, ROUND_SECONDS, LONGEST_PAUSE_SECONDS)

    def _finish(self) -> None:
        try:
            self._round()
        except Exception as error:  # nothing is left to do but to say so
            self._note_failure(error, 0)


def _insert(rows: Sequence[LoggedCall]) -> None:
    """Store rows, but for those of calls that are there already. Raises ``django.db.Error``.

    To insert them through the model costs three times as much.
    """
    values: list[Any] = []
    for row in rows:
        created, *others = _values(row)
        values.append(CREATED.get_db_prep_save(created, connection))
        values += others  # text, bytes and numbers: every database takes them as they are
    with connection.cursor() as cursor:
        execute(cursor, connection, _statement(len(rows)), values)


@lru_cache(maxsize=STORE_BATCH)
def _statement(count: int) -> str:
    places = ", ".join([f"({', '.join(['%s'] * len(FIELDS))})"] * count)
    return f"INSERT INTO {TABLE} ({COLUMNS}) VALUES {places} ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours only


def _move_into_object(rows: Sequence[LoggedCall]) -> None:
    """Put the bodies of rows into an object. Raises whatever the storage does; then nothing has changed."""
    bodies = [bytes(body) for row in rows for body in (row.request, row.response)]
    name, start = body_store.put(bodies), 0
    for row in rows:
        row.object_name, row.object_start = name, start
        row.request_kept, row.response_kept = len(row.request), len(row.response)
        start += row.request_kept + row.response_kept
        row.request = row.response = b""


def sealed_body(row: LoggedCall, side: str) -> bytes:
    """Return a sealed body of a row (``request`` or ``response``), wherever it is. Raises whatever the storage does."""
    if not row.object_name:
        return bytes(getattr(row, side))
    if side == "request":
        return body_store.get(row.object_name, row.object_start, row.request_kept)
    return body_store.get(row.object_name, row.object_start + row.request_kept, row.response_kept)


def seal(body: bytes) -> bytes:
    """Return a body compressed and encrypted, with the keys that provider keys are encrypted with."""
    return bytes(_cipher.fernet.encrypt(zlib.compress(body, 1)))


def unseal(sealed: bytes) -> str | None:
    """Return a body as text; ``None`` when no present key opens it."""
    body = unseal_bytes(sealed)
    return None if body is None else body.decode("utf-8", "replace")


def unseal_bytes(sealed: bytes) -> bytes | None:
    """Return what :func:`seal` sealed; ``None`` when no present key opens it."""
    try:
        return zlib.decompress(_cipher.fernet.decrypt(bytes(sealed)))
    except (InvalidToken, zlib.error):
        return None


log: RequestLog | None = None
"""The request log of this process; none when no body is to be kept."""
