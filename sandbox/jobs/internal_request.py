"""Requests that the sandbox makes to itself: a batch's lines, an eval's samples, a thread's runs."""

from __future__ import annotations

from sandbox.errors import ApiError
from sandbox.misbehaviour import faults
from sandbox.wire.messages import JSON, Host, Request, Response, Stream, error_response
from sandbox.wire.openai import status_error


async def ask(app: Host, path: str, body: bytes, authorization: bytes = b"") -> Response:
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
