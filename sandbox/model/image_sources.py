"""The images that come with a request, and the mask that says where to change them."""

import asyncio
import base64
import binascii
import io
from typing import Any, BinaryIO

from sandbox.errors import ApiError, missing_parameter
from sandbox.media import pictures, png
from sandbox.media.png import Picture
from sandbox.store import params, stored_files
from sandbox.store.params import Body
from sandbox.store.upload_limits import check_size
from sandbox.wire.forms import Form, Upload
from sandbox.wire.messages import Request

MAX_SOURCES = 16
MIME_TYPES = ("image/jpeg", "image/png", "image/webp")


def uploaded(request: Request, form: Form) -> tuple[list[BinaryIO], BinaryIO | None]:
    """The images and the mask of a multipart form; raises ApiError 400 for what OpenAI would refuse."""
    uploads = form.uploads("image")
    if not uploads:
        raise missing_parameter("image")
    if len(uploads) > MAX_SOURCES:
        raise params.too_long("image", "array", MAX_SOURCES, len(uploads))
    masks = form.uploads("mask")
    for upload in (*uploads, *masks):
        check_size(request, upload)
        _check_type(upload)
    return [upload.file for upload in uploads], masks[0].file if masks else None


def _check_type(upload: Upload) -> None:
    if upload.content_type not in MIME_TYPES:
        raise ApiError(
            f"Invalid file 'image': unsupported mimetype ('{upload.content_type}'). Supported file formats are "
            "'image/jpeg', 'image/png', and 'image/webp'.",
            param="image",
            code="unsupported_file_mimetype",
        )


def referenced(request: Request, body: Body) -> tuple[list[BinaryIO], BinaryIO | None]:
    """The same of a JSON body, which names images by URL or file id and loses these fields."""
    references, mask = body.pop("images", None), body.pop("mask", None)
    if not isinstance(references, list) or not references:
        raise missing_parameter("images")
    if len(references) > MAX_SOURCES:
        raise params.too_long("images", "array", MAX_SOURCES, len(references))
    files = [_opened(request, item, f"images[{index}]") for index, item in enumerate(references)]
    return files, None if mask is None else _opened(request, mask, "mask")


def _opened(request: Request, reference: Any, where: str) -> BinaryIO:
    url = reference.get("image_url") if isinstance(reference, dict) else None
    file_id = reference.get("file_id") if isinstance(reference, dict) else None
    if file_id:
        return stored_files.find(request.app.state, file_id, f"{where}.file_id").content
    if not isinstance(url, str):
        raise missing_parameter(f"{where}.image_url")
    if not url.startswith("data:"):
        # The sandbox has no network: another address is another image.
        return io.BytesIO(url.encode())
    try:
        return io.BytesIO(base64.b64decode(url.partition(",")[2], validate=True))
    except binascii.Error as error:
        raise ApiError(f"Invalid base64 data URL in '{where}'.", param=where, code="invalid_base64") from error


def check_for_dall_e(files: list[BinaryIO]) -> None:
    """Raises ApiError 400 unless there is one square PNG."""
    if len(files) > 1:
        raise ApiError("This model supports one image only.", param="image", code="invalid_value")
    head = _header(files[0])
    if head is None:
        raise ApiError("Uploaded image must be a PNG and less than 4 MB.", param="image")
    if head.width != head.height:
        raise ApiError(
            f"Uploaded image must be square, got {head.width}x{head.height}.", param="image", code="invalid_image_size"
        )


def _header(file: BinaryIO) -> png.Header | None:
    file.seek(0)
    try:
        return png.header(file.read(64))
    except png.PngError:
        return None


async def read_mask(mask: BinaryIO, source: BinaryIO) -> Picture:
    """The mask for `source`; raises ApiError 400 when it does not fit."""
    head, of_source = _header(mask), _header(source)
    if head is None:
        raise _bad_mask("mask image must be a PNG")
    if not head.has_alpha:
        raise _bad_mask("mask image missing alpha channel")
    if of_source is not None and (head.width, head.height) != (of_source.width, of_source.height):
        raise _bad_mask("mask size does not match image size")
    return await asyncio.to_thread(pictures.from_file, mask)


def _bad_mask(why: str) -> ApiError:
    return ApiError(
        f"Invalid mask image format - {why}",
        type="image_generation_user_error",
        param="mask",
        code="invalid_mask_image_format",
    )
