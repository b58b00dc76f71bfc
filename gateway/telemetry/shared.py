"""What the processes of an installation on one machine counted, in files under ``metrics`` of the data folder.

Every process replaces its own file about once a second; the exporting one reads all of them. What a process counted
stays when it ends: counters must not go down. A process that starts while no other lives begins at zero.
"""

import contextlib
import fcntl
import operator
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from gateway.telemetry.families import GAUGES
from gateway.telemetry.series import Counts, Key, Rows

COUNTS, LOCK, ENDED = ".counts", ".lock", "ended"
MERGE: dict[str, Callable[[float, float], float]] = {"sum": operator.add, "max": max, "min": min}
MERGES = {gauge.name: gauge.merge for gauge in GAUGES}

Gauges = dict[str, dict[Key, float]]


class Snapshot(msgspec.Struct):
    """What one process has counted since its start, and its gauges now."""

    tables: dict[str, Rows]
    gauges: Gauges


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


class SharedCounts:
    """This process's place in the folder. Raises ``OSError`` when the folder can't be written."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        folder.mkdir(mode=0o700, exist_ok=True)
        self._group = os.open(folder / "group", os.O_RDWR | os.O_CREAT, 0o600)
        if _lock(self._group):
            _remove_all(folder)
        fcntl.flock(self._group, fcntl.LOCK_SH)
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._own = os.open(folder / f"{self._name}{LOCK}", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._own, fcntl.LOCK_EX)
        self._exporter = -1
        self._reading = threading.Lock()

    def write(self, tables: Mapping[str, Rows], gauges: Gauges) -> None:
        """Replace what others read of this process."""
        _replace(self._folder / f"{self._name}{COUNTS}", Snapshot(dict(tables), gauges))

    def becomes_exporter(self) -> bool:
        """Whether this process is the one that exports: no other living one is."""
        if self._exporter < 0:
            held = os.open(self._folder / "exporter", os.O_RDWR | os.O_CREAT, 0o600)
            if not _lock(held):
                os.close(held)
                return False
            self._exporter = held
        return True

    def merged(self) -> tuple[Counts, Gauges]:
        """Return what all processes counted, and the gauges of the living. For the exporter only."""
        with self._reading:
            return self._merged()

    def _merged(self) -> tuple[Counts, Gauges]:
        counts, gauges, ended = Counts(self._limit), Gauges(), []
        for path in sorted(self._folder.glob(f"*{COUNTS}")):
            with contextlib.suppress(OSError, ValueError):  # gone meanwhile, or of another version
                found = _decode(path.read_bytes())
                counts.add(found.tables)
                if path.stem == ENDED:
                    continue
                if self._lives(path):
                    _merge(gauges, found.gauges)
                else:
                    ended.append((path, found))
        if ended:
            self._fold(ended)
        return counts, gauges

    def close(self) -> None:
        """Leave; what was counted stays."""
        for held in (self._exporter, self._own, self._group):
            if held >= 0:
                os.close(held)
        self._exporter = -1

    def _lives(self, path: Path) -> bool:
        if path.stem == self._name:
            return True
        try:
            held = os.open(path.with_suffix(LOCK), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _lock(held)
        finally:
            os.close(held)

    def _fold(self, ended: list[tuple[Path, Snapshot]]) -> None:
        """Add what ended processes counted into one file."""
        total, path = Counts(self._limit), self._folder / f"{ENDED}{COUNTS}"
        with contextlib.suppress(OSError, ValueError):
            total.add(_decode(path.read_bytes()).tables)
        for _, found in ended:
            total.add(found.tables)
        _replace(path, Snapshot(total.tables, {}))
        for old, _ in ended:
            old.unlink(missing_ok=True)
            old.with_suffix(LOCK).unlink(missing_ok=True)


def _merge(gauges: Gauges, other: Gauges) -> None:
    for name, values in other.items():
        mine = gauges.setdefault(name, {})
        for key, value in values.items():
            mine[key] = MERGE[MERGES.get(name, "sum")](mine[key], value) if key in mine else value


def _lock(held: int) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_all(folder: Path) -> None:
    for path in _files(folder):
        path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    for pattern in (f"*{COUNTS}", f"*{LOCK}", "*.draft"):
        yield from folder.glob(pattern)


def _replace(path: Path, snapshot: Snapshot) -> None:
    draft = path.with_suffix(".draft")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(_encode(snapshot))
    draft.replace(path)
