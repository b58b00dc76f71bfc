"""Objects that answers create are recorded, with their owner, before the client sees their ids."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import msgspec

from gateway.body import sse
from gateway.call.call import Call
from gateway.call.errors import CallError
from gateway.models import Owned
from gateway.objects.store import objects

# Ids of these kinds are of use to a client only when the stream is over: their commit is waited for at its end.
COMMITTED_AT_THE_END = frozenset({"item"})
ID = b'"id"'


class End(Protocol):
    """Whether a stream has come to its end."""

    complete: bool


async def record_answer(call: Call, fields: Mapping[str, msgspec.Raw]) -> None:
    """Record what a whole answer created.

    Raises :class:`~gateway.call.errors.Unavailable` when that can't be stored.
    """
    if call.operation.creates is not None:
        await objects.record(call.operation.creates.records(call, fields))


class StreamRecorder:
    """Records what the events of a stream create, each object once, before the events go on."""

    __slots__ = ("_call", "_creates", "_end", "_ends", "_known", "_waiting")

    def __init__(self, call: Call, end: End) -> None:
        assert call.operation.creates is not None
        self._call = call
        self._creates = call.operation.creates
        self._end = end
        self._ends = call.operation.ends is not None
        self._known: set[str] = set()
        self._waiting: list[asyncio.Future[list[Owned]]] = []

    async def hear(self, events: sse.Events) -> None:
        """Return when what ``events`` create is committed. Raises :class:`~gateway.call.errors.Unavailable`."""
        if ID not in events.raw:
            return
        found = [event for event in events if ID in event.raw]
        made = [entry for event in found for entry in self._creates.records(self._call, event.fields)]
        made = [entry for entry in made if entry.object_id not in self._known]
        self._known.update(entry.object_id for entry in made)
        later = [entry for entry in made if self._ends and entry.kind in COMMITTED_AT_THE_END]
        try:
            if later:
                self._waiting.append(objects.submit(later))
            await objects.record([entry for entry in made if entry not in later])
            while self._waiting and self._end.complete:
                await objects.committed(self._waiting.pop())
        except CallError as error:
            self._call.ended_by = error  # so that the attempt's record says it
            raise
        if self._creates.listen is not None and not self._call.operation.charges:
            for event in found:
                await self._creates.listen(self._call, event.fields)
