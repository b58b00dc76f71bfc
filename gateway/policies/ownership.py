"""Ownership: ids in a request must be the caller's; ids in an answer are written down before the client sees them."""

from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from gateway import ownership, streaming
from gateway.call import Call, Reply
from gateway.objects import NewObject, objects

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


async def policy(call: Call, proceed: Callable[[Call], Awaitable[Reply]]) -> Reply:
    """Check what the request mentions; record what the answer makes."""
    if call.references:
        await ownership.check_references(call, call.targets[0].account)
    reply = await proceed(call)
    if not call.operation.makes or reply.status >= 300:
        return reply
    if reply.stream is not None:
        reply.stream = _recorded(call, reply.stream)
        return reply
    try:
        made = ownership.made_by(call, _fields.decode(reply.body)) if reply.body else []
    except (msgspec.DecodeError, RecursionError):
        return reply
    await objects.record(made)
    return reply


async def _recorded(call: Call, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass events on; one that tells new ids waits until they are committed."""
    known: set[str] = set()
    async for events in stream:
        if b'"id"' in events:
            made = [entry for entry in _made_by_events(call, events) if entry.object_id not in known]
            if made:
                await objects.record(made)
                known.update(entry.object_id for entry in made)
        yield events


def _made_by_events(call: Call, events: bytes) -> list[NewObject]:
    made = []
    for event in streaming.split_events(events):
        try:
            made += ownership.made_by(call, _fields.decode(streaming.event_data(event)))
        except (msgspec.DecodeError, RecursionError):
            continue
    return made
