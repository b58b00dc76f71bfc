"""`/v1/uploads`: a file that comes in parts."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from sandbox.errors import ApiError, invalid_type
from sandbox.jobs.work import Breather
from sandbox.store import params, stored_files
from sandbox.store.auth import owned
from sandbox.wire.forms import Upload as FormFile
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

STORE = "uploads"
MAX_UPLOADS = 1000
MAX_BYTES = 8 * 1024**3
MAX_PART = 64 * 1024**2
LIFETIME = 3600  # seconds


@dataclass(slots=True)
class Upload:
    """`shape` is OpenAI's upload object, `parts` the bytes by part id."""

    shape: dict[str, Any]
    expires_in: int | None
    parts: dict[str, FormFile] = field(default_factory=dict)


async def create(request: Request) -> Answer:
    body = request.json()
    for name in ("filename", "purpose", "mime_type"):
        params.required(body, name)
        params.string(body, name)
    params.required(body, "bytes")
    size = params.integer(body, "bytes", 1, MAX_BYTES)
    stored_files.check_purpose(body["purpose"], body["filename"])
    state = request.app.state
    now = state.created()
    shape = {
        "id": state.new_id("upload_", 32),
        "object": "upload",
        "bytes": size,
        "created_at": now,
        "filename": body["filename"],
        "purpose": body["purpose"],
        "status": "pending",
        "expires_at": now + LIFETIME,
    }
    owned(state, STORE, MAX_UPLOADS).put(shape["id"], Upload(shape, stored_files.expires_in(body)))
    return json_response(shape)


async def add_part(request: Request) -> Answer:
    upload = _pending(request)
    form = await request.form()
    part = form.require_file("data")
    if part.size > MAX_PART:
        raise ApiError(f"Part is too large: {part.size} bytes; the limit is {MAX_PART} bytes.", status=413)
    if part.size == 0:
        raise ApiError("Part is empty.", param="data")
    state = request.app.state
    part_id = state.new_id("part_", 32)
    upload.parts[part_id] = part
    return json_response(
        {"id": part_id, "object": "upload.part", "created_at": state.created(), "upload_id": upload.shape["id"]}
    )


async def complete(request: Request) -> Answer:
    """Puts the parts together in the order asked for; the upload stays pending when something does not match."""
    upload = _pending(request)
    body = request.json()
    part_ids = params.required(body, "part_ids")
    if not isinstance(part_ids, list) or not all(isinstance(part_id, str) for part_id in part_ids):
        raise invalid_type("part_ids", "an array of strings", part_ids)
    unknown = [part_id for part_id in part_ids if part_id not in upload.parts]
    if unknown or not part_ids:
        raise ApiError(f"Part not found: {unknown[0]}" if unknown else "No parts were given.", param="part_ids")
    total = sum(upload.parts[part_id].size for part_id in part_ids)
    if total != upload.shape["bytes"]:
        raise ApiError(
            f"The number of bytes uploaded ({total}) does not match the expected number of bytes "
            f"({upload.shape['bytes']}).",
            param="part_ids",
        )
    content, md5 = await _joined([upload.parts[part_id].file for part_id in part_ids])
    wanted = params.string(body, "md5")
    if wanted and wanted.lower() != md5:
        raise ApiError(f"The md5 checksum of the file is {md5}, not {wanted}.", param="md5")
    shape = upload.shape
    stored = stored_files.keep(
        request.app.state, content, shape["filename"], shape["purpose"], expires_in=upload.expires_in
    )
    shape.update(status="completed", file=stored.shape)
    upload.parts.clear()
    return json_response(shape)


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
    upload = _pending(request)
    upload.shape["status"] = "cancelled"
    upload.parts.clear()
    return json_response(upload.shape)


def _pending(request: Request) -> Upload:
    """The caller's upload; raises ApiError 404 when there is none, 400 when it takes nothing any more."""
    state = request.app.state
    upload: Upload | None = owned(state, STORE, MAX_UPLOADS).get(request.params["upload_id"])
    if upload is None:
        raise ApiError(f"No such Upload object: {request.params['upload_id']}", status=404, param="upload_id")
    shape = upload.shape
    if shape["status"] == "pending" and state.now() > shape["expires_at"]:
        shape["status"] = "expired"
        upload.parts.clear()
    if shape["status"] != "pending":
        raise ApiError(f"Upload has status '{shape['status']}'; only a 'pending' one can be changed.")
    return upload


ROUTES = (
    Route("POST", "/v1/uploads", create),
    Route("POST", "/v1/uploads/{upload_id}/parts", add_part, streamed=True),
    Route("POST", "/v1/uploads/{upload_id}/complete", complete),
    Route("POST", "/v1/uploads/{upload_id}/cancel", cancel),
)
