"""Files that Gatehouse keeps itself, for batches that it runs itself: in its data directory, or wherever ``STORAGES`` says."""

import re
import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any

from django.core.files import File
from django.core.files.storage import Storage, storages
from django.utils import timezone

from gateway.call import Reply
from gateway.errors import CallError, InvalidRequest
from gateway.models import OwnedObject
from gateway.objects import Owned, objects

ALIAS = "files"
PREFIX = "file-gh"
PIECE_BYTES = 2**16
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


class BadRange(InvalidRequest):
    """The range that a request asks for is not in the file."""


def is_own(object_id: str) -> bool:
    """Whether an id is that of a file that Gatehouse keeps."""
    return object_id.startswith(PREFIX)


def new_id() -> str:
    """Return an id for a new file."""
    return f"{PREFIX}{secrets.token_hex(16)}"


def store() -> Storage:
    """Return where the files are."""
    return storages[ALIAS]


def save(file_id: str, content: IO[bytes]) -> int:
    """Keep ``content`` under ``file_id``, in place of what may be there of an earlier try; return its length in bytes."""
    name = _name(file_id)
    if store().exists(name):
        store().delete(name)
    content.seek(0)
    store().save(name, File(content, name))
    return int(store().size(name))


def open_file(file_id: str) -> IO[bytes]:
    """Return the file, open for reading. Raises ``FileNotFoundError``."""
    return store().open(_name(file_id), "rb")  # type: ignore[return-value]


def delete(file_id: str) -> None:
    """Remove the file; none is no error."""
    store().delete(_name(file_id))


def file_body(file_id: str, filename: str, purpose: str, size: int, created: datetime | None = None) -> dict[str, Any]:
    """Return OpenAI's object for a file."""
    return {
        "id": file_id,
        "object": "file",
        "bytes": size,
        "created_at": int((created or timezone.now()).timestamp()),
        "filename": filename,
        "purpose": purpose,
        "status": "processed",
        "expires_at": None,
    }


def body_of(owned: Owned) -> dict[str, Any]:
    """Return the body that is known of a file."""
    row = OwnedObject.objects.get(account_name=owned.account_name, object_id=owned.object_id)
    body: dict[str, Any] = row.data["body"]
    return body


async def content(owned: Owned, wanted: str) -> Reply:
    """Return the file, or the range of it that ``wanted`` (a ``Range`` header) names, as it is read."""
    try:
        file = await objects.run(open_file, owned.object_id)
        size = await objects.run(store().size, _name(owned.object_id))
    except FileNotFoundError:
        raise CallError(f"The content of {owned.object_id!r} is gone from Gatehouse's storage.") from None
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
        await objects.run(file.seek, start)
        left = end - start
        while left > 0 and (piece := await objects.run(file.read, min(PIECE_BYTES, left))):
            left -= len(piece)
            yield piece

    return Reply(206 if partial else 200, headers, stream=pieces(), on_close=file.close)


def lines(file_id: str) -> Iterator[bytes]:
    """Yield the lines of a file, without their ends."""
    with open_file(file_id) as file:
        for line in file:
            if line.strip():
                yield line.rstrip(b"\r\n")


def _span(wanted: str, size: int) -> tuple[int, int]:
    match = _RANGE.match(wanted)
    if match is None or match[1] == match[2] == "":
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
