"""Calls that are answered here, without a provider: they leave a record like every other, without a cost."""

from collections.abc import Awaitable, Callable

from gateway.call.call import Call
from gateway.call.reply import Reply
from gateway.pipeline.attempt import Attempt

JSON_HEADERS = [(b"content-type", b"application/json")]


async def answer_here(
    call: Call, work: Callable[[], Awaitable[bytes]], headers: tuple[tuple[bytes, bytes], ...] = ()
) -> Reply:
    """Return the JSON that ``work`` makes for an admitted call. Raises what it raises."""
    attempt = call.attempt = Attempt(call, call.plan.first, 1)
    attempt.free = True
    attempt.begin()
    try:
        body = await work()
    except BaseException as error:  # the attempt's boundary: whatever ends it, it leaves its record
        attempt.finish(error)
        raise
    attempt.record.status, attempt.record.bytes_out = 200, len(body)
    attempt.finish(None)
    return Reply(200, [*JSON_HEADERS, *headers], body)
