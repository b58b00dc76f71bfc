"""A call that we ended, mostly because its client left, before the vendor said what it used: it is estimated.

The vendor bills what it read and made until then. The estimate is made behind the answer, in a thread of its own; the
attempt's record waits for it (begun in the spool's journal, so that a killed process still leaves one).
"""

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.billing import estimate, images, pricing
from gateway.billing.tokens import family_of
from gateway.body import sse
from gateway.call import errors
from gateway.call.call import Call
from providers.snapshot import Target
from providers.upstream.failures import Disconnected
from usage.records import AttemptRecord

logger = logging.getLogger("gateway.pipeline")

KEPT_BYTES = 2**16
"""How much of a stream is kept to be counted: what is longer is taken to go on in the same way."""
WAITING_BYTES = 64 * 2**20
"""How many bytes of bodies may wait to be counted. Beyond them records stay unpriced: callers who only leave must not
fill the memory."""
REPORTED_ENOUGH = 1.25
"""Some vendors report on the way: an estimate that is at most so many times what they said changes nothing."""
ENDED_BY_US = (asyncio.CancelledError, errors.CallError)
CUT = (errors.TruncatedStream, Disconnected)
"""The upstream ended a stream in its middle: it bills what it had made."""
DONE = b"[DONE]"

UNKNOWN_IMAGES = "output_image_tokens"
"""The gap of images whose model is billed by their tokens, and does not publish how many those are."""

_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="estimates")
_waiting = 0


class KeptOutput:
    """The beginning of a stream, as it came, and how long all of it was."""

    __slots__ = ("_kept", "_last", "_parts", "size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._kept = 0
        self._last = b""
        self.size = 0

    def keep(self, raw: bytes) -> None:
        """Take the stream's next bytes."""
        self.size += len(raw)
        self._last = raw
        if self._kept < KEPT_BYTES:
            self._parts.append(raw[: KEPT_BYTES - self._kept])
            self._kept += len(raw)

    @property
    def is_done(self) -> bool:
        """Whether the stream's own last event came."""
        return DONE in self._last

    @property
    def kept(self) -> bytes:
        """What was kept."""
        return b"".join(self._parts)


@dataclass(frozen=True, slots=True)
class Estimated:
    """Tokens. Those of audio are among the others."""

    input: int
    output: int
    audio_input: int
    audio_output: int


def is_metered(record: AttemptRecord) -> bool:
    """Whether the vendor has said what the attempt used."""
    return bool(record.input_tokens or record.output_tokens or record.units or record.price_version)


def needs_estimate(
    call: Call,
    record: AttemptRecord,
    error: BaseException | None,
    output: KeptOutput | None,
    *,
    sent: bool,
    ended: bool,
    free: bool,
) -> bool:
    """Whether an attempt that ended with ``error`` has to be estimated: we ended it, or its upstream cut its stream, or
    ended it with an error behind the first output, before it said what it used, and its vendor bills it.

    ``sent`` says that the vendor may have seen the request, ``ended`` that the whole of its output came.
    """
    operation = call.operation
    failed = bool(record.error_class)
    if failed and (not record.stream or record.ttft_us is None):  # nothing was made
        return False
    if isinstance(error, CUT) or error is None:
        done = operation.ends is not None and operation.ends.done
        lacks_end = failed or error is not None or (done and output is not None and not output.is_done)
        if output is None or not output.size or not lacks_end:
            return False
    elif not isinstance(error, ENDED_BY_US):
        return False
    if free or not sent or not operation.charges or not operation.model_type or not call.body.fields:
        return False
    if record.upstream_status >= 400:
        return False
    if is_metered(record) and (ended or not record.stream):
        return False
    return _waiting + call.body.size <= WAITING_BYTES


async def estimate_usage(call: Call, record: AttemptRecord, target: Target, output: KeptOutput | None) -> None:
    """Fill in what ``record`` lacks of its usage, and mark it as estimated. Logs what fails, and leaves it unpriced."""
    global _waiting
    size = call.body.size
    _waiting += size
    try:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(_thread, _estimated, call.body.fields, output, target.model.upstream_id)
        _take(call, record, target, found)
    except Exception:  # the boundary of an estimate: its record must be written without one, too
        logger.exception("The usage of %s can't be estimated.", call.request_id)
    finally:
        _waiting -= size


def _take(call: Call, record: AttemptRecord, target: Target, found: Estimated) -> None:
    asked = call.operation.units(call) if call.operation.units is not None else {}
    reported = (record.input_tokens, record.output_tokens)
    if not record.upstream_status:  # else they are counted as for any answer
        record.units = {**asked, **record.units}
    if not record.input_tokens:
        record.input_tokens, record.audio_input_tokens = found.input, found.audio_input
    if found.output > record.output_tokens * REPORTED_ENOUGH:
        record.output_tokens, record.audio_output_tokens = found.output, found.audio_output
    if record.operation in pricing.IMAGE_OPERATIONS and not record.output_tokens:
        _take_images(call, record, target, asked)
    # Usage beside the vendor's own error may be all that there is.
    changed = not record.error_class or reported != (record.input_tokens, record.output_tokens)
    record.estimated = is_metered(record) and changed


def _take_images(call: Call, record: AttemptRecord, target: Target, asked: Mapping[str, int]) -> None:
    """Fill in the tokens of the images that were ``asked`` for; a gap, where they cost and nothing says how many."""
    tokens = images.output_tokens(asked, call.body.fields, target.model.upstream_id)
    if tokens is not None:
        record.output_tokens = record.image_output_tokens = tokens
    elif target.model.sheet is not None and target.model.sheet.cost(asked) is None:
        pricing.add_gaps(record, UNKNOWN_IMAGES)


def _estimated(fields: Mapping[str, msgspec.Raw], output: KeptOutput | None, model: str) -> Estimated:
    family = family_of(model)
    asked = estimate.request_of({name: _decoded(bytes(raw)) for name, raw in fields.items()})
    audio_input = asked.audio_tokens(family)
    made = audio_made = 0
    if output is not None and output.size:
        kept = output.kept
        shown = estimate.answer_of(_events(kept))
        made = shown.total(family) * output.size // len(kept)
        audio_made = shown.audio_tokens(family) * output.size // len(kept)
    return Estimated(asked.total(family), made, audio_input, audio_made)


def _events(stream: bytes) -> Iterator[Mapping[str, Any]]:
    for raw in sse.split(stream):
        event = _decoded(sse.Event(raw).data)
        if isinstance(event, dict):
            yield event


def _decoded(data: bytes) -> Any:
    """Return a JSON value; ``None`` where it is not valid JSON, as the last event of what was kept may not be."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
