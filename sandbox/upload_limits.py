"""Limits of uploads that are read while they arrive."""

from sandbox.errors import ApiError
from sandbox.forms import Upload
from sandbox.http import Request


def check_size(request: Request, upload: Upload) -> None:
    """Raises ApiError 413 as OpenAI does for audio above 25 MB, when the directive `max-file` asks for it."""
    limit = request.faults.max_file
    if limit and upload.size > limit:
        raise ApiError(
            f"413: Maximum content size limit ({limit}) exceeded ({upload.size} bytes read)",
            status=413,
            type="server_error",
        )
