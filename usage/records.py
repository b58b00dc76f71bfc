"""The record of one attempt, in the form that the spool writes."""

from typing import Any

import msgspec
import uuid_utils


class AttemptRecord(msgspec.Struct, array_like=True, gc=False):
    """One attempt to have a call answered by one target. Public names are text, so history outlives what it names.

    New fields are added at the end, with a default: a spool written by an older version must still be read.
    """

    attempt_id: str
    request_id: str
    started_at: int
    """Unix time in microseconds."""
    subject_type: str = ""
    """``user`` or ``virtualaccount``."""
    subject_id: int = 0
    subject_name: str = ""
    token_id: int = 0
    token_prefix: str = ""
    teams: list[str] = []
    account: str = ""
    provider: str = ""
    model_asked: str = ""
    model_served: str = ""
    operation: str = ""
    """``chat``, ``text_completion``, ``embeddings``, ``moderation``, ``image_generation`` …"""
    endpoint: str = ""
    stream: bool = False
    attempt_number: int = 1
    status: int = 0
    """The HTTP status of this attempt as the client saw it, or would have seen it without another attempt; 0: none."""
    upstream_status: int = 0
    error_class: str = ""
    """Empty, or one word: ``upstream_error``, ``timeout``, ``connect``, ``cancelled``, ``interrupted`` …"""
    latency_us: int = 0
    ttft_us: int | None = None
    """Microseconds to the first byte of the answer; ``None`` when none came."""
    input_tokens: int = 0
    """All input tokens, the cached, audio and image ones among them; ``output_tokens`` likewise."""
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    units: dict[str, int] = {}
    """Other billed units by name, as ``providers.pricing.sheet`` counts them."""
    service_tier: str = ""
    price_version: str = ""
    price_gaps: str = ""
    """Used units without a price, when others were priced; comma-separated."""
    cost_pico: int | None = None
    """Cost in 1e-12 USD; ``None``: unpriced."""
    metadata: dict[str, str] = {}
    client_gone: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    upstream_request_id: str = ""
    object_id: str = ""
    batch_key: str = ""
    batch_line: str = ""
    error_message: str = ""
    """The vendor's or our own words for what went wrong: without secrets, 500 characters at most."""
    estimated: bool = False
    """Whether the usage is an estimate of ours, because the vendor's own never came."""
    trace_id: str = ""
    """The trace that the caller began; empty: the call's own, whose id is the request's."""
    model_resolved: str = ""
    """The public name of the model that the attempt went to, whatever the call named."""
    decision: dict[str, Any] = {}
    """What was decided about the call: rules that counted it, what they had left, what it was reserved for."""


def new_id() -> str:
    """Return a fresh id for an attempt or a request: a UUIDv7, so ids sort by time."""
    return str(uuid_utils.uuid7())
