"""`/v1/files`: uploads and downloads of whole files; `uploads.py` takes them in parts."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from sandbox.errors import ApiError, missing_parameter
from sandbox.store import stored_files
from sandbox.store.collection import Collection
from sandbox.store.objects import Item
from sandbox.store.stored_files import CHUNK, StoredFile
from sandbox.wire.delivery import ConnectionCut
from sandbox.wire.forms import Form
from sandbox.wire.messages import Answer, Request, Stream
from sandbox.wire.numbers import whole_number

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
DELAYED_CHUNK = 1024
# filename's end: what a download says it is
_TYPES = {
    ".jsonl": b"application/jsonl",
    ".json": b"application/json",
    ".csv": b"text/csv",
    ".txt": b"text/plain",
    ".mp4": b"video/mp4",
    ".webp": b"image/webp",
    ".zip": b"application/zip",
}


def _has_expired(request: Request, item: Item) -> bool:
    return isinstance(item, StoredFile) and item.has_expired(request.app.state.now())


FILES = Collection(
    stored_files.PATH,
    stored_files.ID_PREFIX,
    "file",
    missing=stored_files.missing,
    hidden=_has_expired,
    filters=("purpose",),
    paging={"limit": 10_000, "high": 10_000},
    deleted="file",
)


async def create(request: Request) -> Answer:
    form = await request.form()
    upload = form.require_file("file")
    purpose = form.get("purpose")
    if not purpose:
        raise missing_parameter("purpose")
    stored_files.check_purpose(purpose, upload.filename)
    if upload.size == 0:
        raise ApiError("File is empty.")
    seconds = stored_files.expires_in({"expires_after": _expires_after(form)})
    stored = stored_files.keep(request.app.state, upload.file, upload.filename, purpose, expires_in=seconds)
    return FILES.answer(request, stored)


def _expires_after(form: Form) -> dict[str, Any]:
    """What the form's `expires_after[anchor]` and `expires_after[seconds]` mean."""
    anchor, seconds = form.get("expires_after[anchor]"), form.get("expires_after[seconds]")
    if not anchor and not seconds:
        return {}
    number = whole_number(seconds)
    return {"anchor": anchor, "seconds": number if number is not None else seconds or None}


async def content(request: Request) -> Answer:
    """The bytes, or with `Range: bytes=first-last` (also `first-` and `-count`) a part of them under a 206."""
    return download(FILES.find(request), request.header("range"))


def download(stored: StoredFile, wanted: str = "") -> Answer:
    """A file's bytes as they go over the wire; raises ApiError 416 for a range that the file does not have."""
    cut = stored.switches.download()
    part = _range(wanted, stored.size)
    start, end = part or (0, stored.size)
    headers = [
        (b"content-length", b"%d" % (end - start)),
        (b"content-disposition", b'attachment; filename="%s"' % _quoted(stored.shape["filename"])),
        (b"accept-ranges", b"bytes"),
    ]
    if part:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, stored.size)))
    answer = Stream(_pieces(stored, start, end, cut), content_type=_content_type(stored), headers=headers)
    answer.status = 206 if part else 200
    return answer


async def _pieces(stored: StoredFile, start: int, end: int, cut: bool) -> AsyncIterator[bytes]:
    delay = stored.switches.output_delay / 1000
    size = DELAYED_CHUNK if delay else CHUNK
    last = (start + end) // 2 if cut else end
    while start < last:
        if delay:
            await asyncio.sleep(delay)
        piece = stored.read(start, min(size, last - start))
        start += len(piece)
        yield piece
    if cut:
        raise ConnectionCut


def _range(wanted: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last; None for anything but one range of bytes, which HTTP lets us
    ignore.
    """
    match = _RANGE.match(wanted)
    if match is None or match[1] == match[2] == "":
        return None
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
    else:
        start, end = max(size - int(match[2]), 0), size
    if start >= end:
        raise ApiError(
            f"The requested range '{wanted}' does not exist in a file of {size} bytes.",
            status=416,
            headers={"content-range": f"bytes */{size}"},
        )
    return start, end


def _content_type(stored: StoredFile) -> bytes:
    name = stored.shape["filename"].lower()
    return next((kind for end, kind in _TYPES.items() if name.endswith(end)), b"application/octet-stream")


def _quoted(name: str) -> bytes:
    return re.sub(r'[\x00-\x1f"\\]', "_", name).encode("latin-1", "replace")


ROUTES = FILES.routes("list retrieve delete", streamed=("create",), create=create, get_content=content)
