"""`/v1/uploads`: a file that comes in parts."""

import hashlib
from typing import BinaryIO

from sandbox.errors import ApiError
from sandbox.jobs.work import Breather
from sandbox.store import params, stored_files
from sandbox.store.collection import Collection
from sandbox.store.objects import Item, Shape
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response

MAX_BYTES = 8 * 1024**3
MAX_PART = 64 * 1024**2
LIFETIME = 3600  # seconds


def _missing(upload_id: str) -> ApiError:
    return ApiError(f"No such Upload object: {upload_id}", status=404, param="upload_id")


def _complete(request: Request, shape: Shape, body: Body) -> None:
    for name in ("filename", "purpose", "mime_type"):
        params.string(body, name)
    params.integer(body, "bytes", 1, MAX_BYTES)
    stored_files.check_purpose(body["purpose"], body["filename"])
    shape["expires_at"] = shape["created_at"] + LIFETIME


# An upload's `inner` are its file's lifetime, and the form's files by part id.
UPLOADS = Collection(
    "/v1/uploads",
    "upload_",
    "upload",
    missing=_missing,
    digits=32,
    required=("filename", "purpose", "mime_type", "bytes"),
    fields=dict.fromkeys(("bytes", "filename", "purpose")),
    fixed={"status": "pending"},
    complete=_complete,
)


async def create(request: Request) -> Answer:
    body = request.json()
    UPLOADS.check_required(body)
    upload = UPLOADS.new(request, body, (stored_files.expires_in(body), {}))
    return UPLOADS.answer(request, upload)


async def add_part(request: Request) -> Answer:
    upload = _pending(request)
    part = (await request.form()).require_file("data")
    if part.size > MAX_PART:
        raise ApiError(f"Part is too large: {part.size} bytes; the limit is {MAX_PART} bytes.", status=413)
    if part.size == 0:
        raise ApiError("Part is empty.", param="data")
    state = request.app.state
    part_id = state.new_id("part_", 32)
    upload.inner[1][part_id] = part
    shape = {"id": part_id, "object": "upload.part", "created_at": state.created(), "upload_id": upload.id}
    return json_response(shape)


async def complete(request: Request) -> Answer:
    """Puts the parts together in the order asked for; the upload stays pending when something does not match."""
    upload, body = _pending(request), request.json()
    lifetime, parts = upload.inner
    part_ids = params.strings(body, "part_ids")
    unknown = [part_id for part_id in part_ids if part_id not in parts]
    if unknown or not part_ids:
        raise ApiError(f"Part not found: {unknown[0]}" if unknown else "No parts were given.", param="part_ids")
    total = sum(parts[part_id].size for part_id in part_ids)
    if total != upload.shape["bytes"]:
        raise ApiError(
            f"The number of bytes uploaded ({total}) does not match the expected number of bytes "
            f"({upload.shape['bytes']}).",
            param="part_ids",
        )
    content, md5 = await _joined([parts[part_id].file for part_id in part_ids])
    wanted = params.string(body, "md5")
    if wanted and wanted.lower() != md5:
        raise ApiError(f"The md5 checksum of the file is {md5}, not {wanted}.", param="md5")
    shape = upload.shape
    stored = stored_files.keep(request.app.state, content, shape["filename"], shape["purpose"], expires_in=lifetime)
    shape["file"] = stored.shape
    return UPLOADS.answer(request, _over(upload, "completed"))


async def _joined(pieces: list[BinaryIO]) -> tuple[BinaryIO, str]:
    """The pieces as one file, and its MD5 in hex."""
    content, digest, breathe = stored_files.new_content(), hashlib.md5(usedforsecurity=False), Breather()
    for piece in pieces:
        piece.seek(0)
        while chunk := piece.read(stored_files.CHUNK):
            content.write(chunk)
            digest.update(chunk)
            await breathe()
    return content, digest.hexdigest()


async def cancel(request: Request) -> Answer:
    return UPLOADS.answer(request, _over(_pending(request), "cancelled"))


def _over(upload: Item, status: str) -> Item:
    """The upload in its last status, without its parts."""
    upload.shape["status"] = status
    upload.inner[1].clear()
    return upload


def _pending(request: Request) -> Item:
    """The caller's upload; raises ApiError 404 for an unknown one, 400 when it takes nothing any more."""
    upload: Item = UPLOADS.find(request)
    if upload.status == "pending" and request.app.state.now() > upload.shape["expires_at"]:
        _over(upload, "expired")
    if upload.status != "pending":
        raise ApiError(f"Upload has status '{upload.status}'; only a 'pending' one can be changed.")
    return upload


ROUTES = UPLOADS.routes("", streamed=("parts",), create=create, parts=add_part, complete=complete, cancel=cancel)
