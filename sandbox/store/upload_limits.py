"""Limits of uploads that are read while they arrive."""

from sandbox.errors import ApiError
from sandbox.wire.forms import Form, Upload
from sandbox.wire.messages import Request

# Larger than what OpenAI takes, so that tests may send what a gateway must not hold in memory.
MAX_UPLOAD = 1024 * 1024 * 1024


async def read_form(request: Request) -> Form:
    """The multipart body of a route that is `streamed`, whatever the limit for other bodies is."""
    request.max_body = max(request.max_body, MAX_UPLOAD)
    return await request.form()


def check_size(request: Request, upload: Upload) -> None:
    """Raises ApiError 413 as OpenAI does for audio above 25 MB, when the directive `max-file` asks for it."""
    limit = request.faults.max_file
    if limit and upload.size > limit:
        raise ApiError(
            f"413: Maximum content size limit ({limit}) exceeded ({upload.size} bytes read)",
            status=413,
            type="server_error",
        )
