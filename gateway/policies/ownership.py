"""Ownership: ids in a request must be the caller's; ids in an answer are written down before the client sees them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future

import msgspec

from gateway.body import sse
from gateway.call.call import Call
from gateway.call.errors import CallError
from gateway.call.reply import Reply
from gateway.models import NewObject, Owned
from gateway.objects import makers, ownership
from gateway.objects.store import objects

# Ids of these kinds are of use to a client only when the stream is over: their commit is waited for at its end.
COMMITTED_AT_THE_END = frozenset({"item"})
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
        made = makers.made_by(call, _fields.decode(reply.body)) if reply.body else []
    except (ValueError, RecursionError):
        return reply
    await objects.record(made)
    return reply


async def _recorded(call: Call, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass events on; one that tells new ids waits until they are committed."""
    known: set[str] = set()
    waiting: list[Future[list[Owned]]] = []
    ends = call.operation.ends
    listen = None if call.operation.charges else makers.LISTENERS.get(call.operation.makes)
    async for events in stream:
        if b'"id"' in events:
            made = [entry for entry in _made_by_events(call, events) if entry.object_id not in known]
            known.update(entry.object_id for entry in made)
            later = [entry for entry in made if ends is not None and entry.kind in COMMITTED_AT_THE_END]
            try:
                if later:
                    waiting.append(objects.submit(later))
                await objects.record([entry for entry in made if entry not in later])
                if waiting and ends is not None and ends.search(events):
                    while waiting:
                        await objects.committed(waiting.pop())
            except CallError as error:
                call.ended_by = error  # so that the attempt's record tells it
                raise
            if listen is not None:
                await listen(call, events)
        yield events


def _made_by_events(call: Call, events: bytes) -> list[NewObject]:
    made = []
    for event in sse.split_events(events):
        if b'"id"' in event:
            try:
                made += makers.made_by(call, _fields.decode(sse.event_data(event)))
            except (ValueError, RecursionError):
                continue
    return made
