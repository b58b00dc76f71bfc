"""Where logged bodies are when they are not in the database: objects of a storage of Django's, S3 for example.

An object has the sealed bodies of the calls that were stored together, one after the other. Its name begins with the
day and the time when it was made, ``2026-11-26/130405123456-<random>``, so that old ones are found without an index,
also those that a crash left without rows.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from django.core.files.base import ContentFile
from django.core.files.storage import storages

ALIAS: Final = "bodies"
TIME: Final = "%H%M%S%f"


def put(bodies: Sequence[bytes]) -> str:
    """Store an object of ``bodies``; return its name. Raises whatever the storage does."""
    name = f"{datetime.now(UTC):%Y-%m-%d/{TIME}}-{uuid.uuid4().hex}"
    return str(storages[ALIAS].save(name, ContentFile(b"".join(bodies))))


def get(name: str, start: int, length: int) -> bytes:
    """Return a part of an object. Raises whatever the storage does."""
    with storages[ALIAS].open(name) as file:
        file.seek(start)
        found: bytes = file.read(length)
    return found


def prune(before: datetime) -> int:
    """Delete the objects that were made before ``before``; return how many. Raises whatever the storage does."""
    storage, deleted = storages[ALIAS], 0
    for day in sorted(_days(storage)):
        if day > before.date():
            break
        folders, names = storage.listdir(day.isoformat())
        old = [name for name in names if _made(day, name) < before]
        for name in old:
            storage.delete(f"{day}/{name}")
        deleted += len(old)
        if day < before.date() and not folders and len(old) == len(names):
            storage.delete(day.isoformat())  # an empty folder; object stores have none
    return deleted


def _days(storage: Any) -> list[date]:
    try:
        folders, _ = storage.listdir("")
    except FileNotFoundError:  # a folder that nothing was stored in yet
        return []
    return [day for name in folders if (day := _day(name)) is not None]


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:  # not ours
        return None


def _made(day: date, name: str) -> datetime:
    """Return when an object was made; of one that is not ours: never."""
    try:
        moment = datetime.strptime(name.partition("-")[0], TIME).time()
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return datetime.combine(day, moment, UTC)
