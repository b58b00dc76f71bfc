"""Requests that the sandbox makes to itself: a batch's lines, an eval's samples, a thread's runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox import faults
from sandbox.delivery import status_error
from sandbox.errors import ApiError
from sandbox.http import JSON, Request, Response, Stream, error_response

if TYPE_CHECKING:
    from sandbox.app import Sandbox


async def ask(app: Sandbox, path: str, body: bytes, authorization: bytes = b"") -> Response:
    """The whole answer to a POST with a JSON body; errors are answers too.

    Of the directives in the prompt those count that shape the answer, and `status`, which replaces it.
    """
    request = Request(app, "POST", path, body, headers={b"content-type": JSON, b"authorization": authorization})
    try:
        request.faults = faults.from_body(body)
    except ApiError as error:
        return error_response(error)
    if request.faults.status:
        return error_response(status_error(request.faults))
    answer = await app.answer(request)
    if isinstance(answer, Stream):
        return error_response(ApiError("Streaming is not supported in the Batch API.", param="stream"))
    return answer
