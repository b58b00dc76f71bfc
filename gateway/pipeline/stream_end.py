"""Whether a stream is whole: it came to the end that its operation has."""

import re
from collections.abc import Iterable

from accounts.numbers import whole_number
from gateway.body import sse
from gateway.call.call import Call
from gateway.call.operation import StreamEnd
from gateway.pipeline.attempt import Attempt
from providers.dialects.base import Dialect

DONE = b"[DONE]"
LAST = b"\n\ndata: [DONE]\n\n"
"""How most streams end: no event has to be looked at to know it."""
NO_REASON = (b'"finish_reason":null', b'"finish_reason": null')
MAX_CHOICES = 128
SECOND = re.compile(rb'"index": ?[1-9]')
"""What a stream has in which more than one choice came. One with two tool calls has it, too."""


class EndCheck:
    """Follows a stream to its end. ``complete`` says whether it is there, ``may_reopen`` that only the choices that are
    known say so: another may have come, which needs an end, too.
    """

    __slots__ = ("_dialect", "_ended", "_open", "_row", "complete", "may_reopen")

    def __init__(self, row: StreamEnd | None, dialect: Dialect, choices: int) -> None:
        self._row = row
        self._dialect = dialect
        self._open = set(range(choices))
        self._ended: set[int] = set()
        self.complete = row is None
        self.may_reopen = False

    def see(self, events: sse.Events) -> None:
        """Look at the next events of the stream."""
        row = self._row
        if row is None or self.complete:
            return
        raw = events.raw
        if row.done and raw.find(DONE) >= 0 and (raw.endswith(LAST) or any(event.data == DONE for event in events)):
            self.complete = True
        elif row.choices:
            self._see_choices(events, row.reasons)
        if row.types:
            self._see_types(events, row.types)

    def close(self) -> None:
        """Take what has come for all that comes: the vendor ended the stream itself, with an error."""
        self.complete = True
        self.may_reopen = False

    def see_more(self, events: sse.Events) -> None:
        """Look at what comes behind the end of the choices that are known, while ``may_reopen``."""
        if self._row is not None and self._row.done and events.raw.find(DONE) >= 0:
            self.may_reopen = False
        else:
            self._note_choices(events)

    def settle(self, kept: bytes) -> None:
        """Take the end back if the stream, whose beginning was ``kept``, is over and a choice in it had none."""
        if not self.may_reopen:
            return
        if SECOND.search(kept):
            self._note_choices(sse.Events(kept))
        self.complete = self._open <= self._ended

    def _note_choices(self, events: Iterable[sse.Event]) -> None:
        for event in events:
            for index, ended in self._dialect.choices_ended(event.fields).items():
                if ended:
                    self._ended.add(index)
                elif index < MAX_CHOICES:
                    self._open.add(index)

    def _see_choices(self, events: sse.Events, reasons: tuple[bytes, ...]) -> None:
        alone = len(self._open) == 1
        left = _endings(events.raw, reasons)
        if alone and left == 0:
            return
        for event in reversed(list(events)):  # of one choice only the events that end it matter, mostly the last
            if alone:
                ends = _endings(event.raw, reasons)
                if ends == 0:
                    continue
                left -= ends
            self._note_choices((event,))
            if alone and left == 0:
                break
        self.complete = self.may_reopen = self._open <= self._ended

    def _see_types(self, events: sse.Events, types: frozenset[str]) -> None:
        raw = events.raw
        if not any(kind.encode() in raw for kind in types):
            return
        for event in reversed(list(events)):  # the end is mostly the last
            name = event.name.decode("latin1")
            if name in types or sse.string_of(event.fields, "type") in types:
                self.complete = True
                return


def _endings(raw: bytes, reasons: tuple[bytes, ...]) -> int:
    """Return how many choices come to their end in ``raw``."""
    return sum(map(raw.count, reasons)) - raw.count(NO_REASON[0]) - raw.count(NO_REASON[1])


def end_check(attempt: Attempt) -> EndCheck:
    """Return what follows the stream of an attempt."""
    return EndCheck(attempt.call.operation.ends, attempt.spoken, _choices_asked(attempt.call))


def _choices_asked(call: Call) -> int:
    """Return how many choices the call asks for, one where it does not say."""
    return whole_number(bytes(call.body.fields.get("n", b"1")), MAX_CHOICES) or 1
