"""The ledger: the thread that moves records from the spool into the database, exactly once."""

import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
from django.db import connection
from django.utils import timezone

from usage.models import UsageRecord
from usage.records import Attempt
from usage.spool import Spool

Touch = Callable[[dict[int, float]], None]


class Ledger:
    """Moves this process's spool into the database every ``flush_seconds``, and what dead processes left behind.

    ``on_touch`` gets ``{token id: unix time of last use}`` at most every ``touch_seconds``.
    """

    def __init__(
        self, spool: Spool, *, flush_seconds: float = 0.5, on_touch: Touch | None = None, touch_seconds: float = 30
    ) -> None:
        self.spool = spool
        self.flush_seconds = flush_seconds
        self.on_touch = on_touch
        self.touch_seconds = touch_seconds
        self._touched: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._last_flush = 0.0
        self._error = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="usage-ledger", daemon=True)
        self._thread.start()

    def touch(self, token_id: int, when: float) -> None:
        """Remember that a token was used at ``when``."""
        self._touched[token_id] = when

    def drain(self, timeout: float = 10) -> bool:
        """Stop the thread after a last flush; return whether everything is in the database."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)
        return not self._error

    def state(self) -> dict[str, Any]:
        """Return what ``/readyz`` says about the spool."""
        return {"ok": not self._error, "error": self._error, "last_flush": self._last_flush, "dropped": 0}

    def flush(self) -> int:
        """Move what is in the spool now; return how many records."""
        moved = 0
        decoder = msgspec.json.Decoder(Attempt)
        for path in self.spool.rotate():
            records = [decoder.decode(line) for line in path.read_bytes().splitlines()]
            UsageRecord.objects.bulk_create([_row(record) for record in records], ignore_conflicts=True)
            path.unlink()
            moved += len(records)
        self._last_flush = time.time()
        return moved

    def _run(self) -> None:
        while not self._stop.wait(self.flush_seconds):
            self.flush()
        self.flush()
        connection.close()


def _row(record: Attempt) -> UsageRecord:
    values = msgspec.structs.asdict(record)
    started = timezone.datetime.fromtimestamp(values.pop("started_at") / 1e6, timezone.UTC)  # type: ignore[attr-defined]
    return UsageRecord(id=values.pop("attempt_id"), created_at=started, **values)
