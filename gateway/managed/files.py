"""Files that Gatehouse keeps itself, for batches that it runs itself: in its data directory, or wherever ``STORAGES``
says.

Of a storage no more is asked than every Django storage has: no paths, no appending. Servers wait for it in threads of
its own, so that one that is slow holds up nothing else.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from os import SEEK_END
from typing import IO, Any, TypeVar

from django.core.files import File
from django.core.files.storage import Storage, storages

from gateway.call.errors import BadRange, NotFound, Unavailable
from gateway.call.reply import Reply
from gateway.models import Owned, OwnedObject
from gateway.objects.ownership import unknown

logger = logging.getLogger("gateway.files")

ALIAS = "files"
PREFIX = "file-gh"
PIECE_BYTES = 2**16
THREADS = 8
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="gatehouse-files")
_Result = TypeVar("_Result")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


def is_own(object_id: str) -> bool:
    """Whether an id is that of a file that Gatehouse keeps."""
    return object_id.startswith(PREFIX)


def new_id() -> str:
    """Return an id for a new file."""
    return f"{PREFIX}{secrets.token_hex(16)}"


def store() -> Storage:
    """Return where the files are."""
    return storages[ALIAS]


async def run(function: Callable[..., _Result], *args: Any) -> _Result:
    """Run a function of this module's, or of a file's, in a thread.

    Raises ``FileNotFoundError``, and :class:`~gateway.call.errors.Unavailable` when the storage can't be used at the
    moment.
    """
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, function, *args)
    except FileNotFoundError:
        raise
    except Exception as error:  # the storage's boundary: it raises what its library raises; the log has the details
        logger.exception("The storage of files failed.")
        raise Unavailable(
            "Gatehouse's storage of files can't be used at the moment. Try again.",
            code="storage_unavailable",
            headers={"retry-after": "5"},
        ) from error


def save(file_id: str, content: IO[bytes]) -> int:
    """Keep ``content`` under ``file_id``, in place of what may be there of an earlier try; return its length in
    bytes.
    """
    name = _name(file_id)
    if store().exists(name):
        store().delete(name)
    size = content.seek(0, SEEK_END)
    content.seek(0)
    saved = store().save(name, File(content, name))
    if saved != name:  # another worker wrote it meanwhile
        store().delete(saved)
        raise FileExistsError(f"{name} is being written by someone else, or the storage gives files names of its own.")
    return size


def open_file(file_id: str) -> IO[bytes]:
    """Return the file, open for reading. Raises ``FileNotFoundError``."""
    return store().open(_name(file_id), "rb")  # type: ignore[return-value]


def delete(file_id: str) -> None:
    """Remove the file; a missing one is not an error."""
    store().delete(_name(file_id))


def file_body(
    file_id: str, filename: str, purpose: str, size: int, now: datetime, lifetime: int | None = None
) -> dict[str, Any]:
    """Return OpenAI's object for a file that is made ``now``. It expires after ``lifetime`` seconds, or never."""
    created = int(now.timestamp())
    return {
        "id": file_id,
        "object": "file",
        "bytes": size,
        "created_at": created,
        "filename": filename,
        "purpose": purpose,
        "status": "processed",
        "expires_at": None if lifetime is None else created + lifetime,
    }


def body_of(owned: Owned) -> dict[str, Any]:
    """Return the body that is known of a file; raise :class:`~gateway.call.errors.NotFound` when its time is over."""
    row = OwnedObject.objects.named(owned.account_name, owned.object_id).alive().timed().first()
    if row is None or has_expired(row):
        raise unknown(owned.object_id)
    body: dict[str, Any] = row.data["body"]
    return body


def has_expired(row: OwnedObject) -> bool:
    """Whether the time of a file, read with ``now``, is over, though its record and its content may still be there."""
    return row.expires_at is not None and row.expires_at <= row.now


async def content(owned: Owned, wanted: str) -> Reply:
    """Return the file, or the range of it that ``wanted`` (a ``Range`` header) names, as it is read."""
    try:
        file, size = await run(_opened, owned.object_id)
    except FileNotFoundError:
        raise NotFound(
            f"The content of {owned.object_id!r} is gone from Gatehouse's storage.", code="not_found"
        ) from None
    start, end = _span(wanted, size)
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"accept-ranges", b"bytes"),
        (b"content-length", b"%d" % (end - start)),
    ]
    partial = (start, end) != (0, size)
    if partial:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, size)))

    async def pieces() -> Any:
        await run(file.seek, start)
        left = end - start
        while left > 0 and (piece := await run(file.read, min(PIECE_BYTES, left))):
            left -= len(piece)
            yield piece

    return Reply(206 if partial else 200, headers, stream=pieces(), on_close=file.close)


def lines(file_id: str) -> Iterator[bytes]:
    """Yield the lines of a file, without their ends."""
    rest = b""
    with open_file(file_id) as file:
        while piece := file.read(PIECE_BYTES):  # not line by line: Django's files end a line at a bare CR, too
            *whole, rest = (rest + piece).split(b"\n")
            yield from filter(bytes.strip, whole)
    if rest.strip():
        yield rest


def _opened(file_id: str) -> tuple[IO[bytes], int]:
    size = int(store().size(_name(file_id)))
    return open_file(file_id), size


def _span(wanted: str, size: int) -> tuple[int, int]:
    """Return where what is wanted begins and ends. An invalid range, or several, are ignored, as HTTP has it."""
    match = _RANGE.match(wanted)
    if match is None or match[1] == match[2] == "" or (match[1] and match[2] and int(match[2]) < int(match[1])):
        return 0, size
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
    else:
        start, end = max(size - int(match[2]), 0), size
    if start >= end:
        raise BadRange(
            f"The range {wanted[:80]!r} is not in a file of {size} bytes.", headers={"content-range": f"bytes */{size}"}
        )
    return start, end


def _name(file_id: str) -> str:
    return f"{file_id[len(PREFIX) : len(PREFIX) + 2]}/{file_id}"
