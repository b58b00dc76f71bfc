"""A call: who asks, for which operation, with which body and options. And the reply to it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TYPE_CHECKING, Protocol

import msgspec
import uuid_utils

from gateway.errors import CallError, InvalidRequest
from providers.snapshot import Target

if TYPE_CHECKING:
    from gateway.objects import Owned

METADATA_VALUE_CHARACTERS = 128
METADATA_ENTRIES = 64
MAX_RETRIES = 5
MAX_TIMEOUT_MS = 86_400_000
RETRY_STATUSES = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Operation:
    """What an endpoint does.

    ``name`` stands in records, ``model_type`` is the capability that a model needs for it (empty: the call names no model),
    ``path`` the upstream's path, ``makes`` the kind of object that an answer's ``id`` names (empty: none). ``ends`` matches
    what the last event of a whole stream holds (``None``: any end is a proper end). ``units`` counts what is billed by the
    request itself, for example characters to be spoken; it is asked when the answer is complete. ``charges`` is false where
    the usage in an answer is not this call's to pay: a look at something that was paid for before, or will be. ``raw`` says that
    a good answer is a file: its bytes go on as they are, whatever its content type says.
    """

    name: str
    model_type: str
    path: str
    makes: str = ""
    ends: re.Pattern[bytes] | None = None
    units: "Callable[[Call], dict[str, int]] | None" = None
    charges: bool = True
    raw: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """Who asks, as the directory knows the token. ``principals`` are the subject keys that grants are matched with.

    ``state`` is ``active`` or the reason why the token opens nothing; ``expires_at`` is a Unix time or ``None``.
    ``limits`` narrows the token to accounts and ``account/model`` names; ``None`` means no limit.
    """

    token_id: int
    prefix: str
    subject_type: str
    subject_id: int
    subject_name: str
    principals: frozenset[str] = field(repr=False)
    is_superuser: bool
    teams: tuple[str, ...]
    team_keys: tuple[str, ...]
    tags: Mapping[str, str]
    limits: frozenset[str] | None
    state: str
    expires_at: float | None

    @property
    def key(self) -> str:
        """The subject as grants name it: ``user:7`` or ``virtualaccount:2``."""
        return f"{self.subject_type}:{self.subject_id}"


@dataclass(slots=True)
class Options:
    """What the ``x-tfy-*`` headers ask for. Timeouts are in seconds."""

    provider_name: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    request_timeout: float | None = None
    first_token_timeout: float | None = None
    retries: int = 0
    retry_statuses: frozenset[int] = RETRY_STATUSES


class Upload(Protocol):
    """A body that streams through: sent once, with the model's upstream name in it."""

    content_type: str
    fault: Exception | None
    sent: int

    @property
    def values(self) -> dict[str, str]:
        """The wanted text parts that have been seen so far."""

    @property
    def wants_stream(self) -> bool:
        """Whether the parts seen so far ask for a stream."""

    def length(self, upstream_model: str) -> int | None:
        """Return the length of what :meth:`body` yields, or ``None`` when the client did not tell."""

    def body(self, upstream_model: str) -> AsyncIterator[bytes]:
        """Yield the body for the upstream."""


class Call:
    """One call on its way. The policies and the pipeline read and fill it; nobody else keeps it.

    ``account_name`` names the account of a call without a model; ``references`` are ids of objects that the request mentions,
    with the field that did; ``parent`` is the record of the object that the path names. ``notes`` are what an endpoint found out
    about the request and its own maker of records wants to know.
    """

    __slots__ = (
        "account_name",
        "attempts",
        "base_url",
        "body",
        "caller",
        "client_gone",
        "content_type",
        "ended_by",
        "endpoint",
        "error",
        "fields",
        "forwarded",
        "id_field",
        "method",
        "model_asked",
        "notes",
        "operation",
        "options",
        "parent",
        "path",
        "query",
        "references",
        "request_id",
        "started_ns",
        "status",
        "stream",
        "target",
        "targets",
        "task",
        "timings",
        "upload",
        "wants_usage",
    )

    def __init__(self, caller: Caller, operation: Operation, options: Options, request_id: str) -> None:
        self.caller = caller
        self.operation = operation
        self.options = options
        self.request_id = request_id
        self.started_ns = perf_counter_ns()
        self.endpoint = operation.path
        self.method = "POST"
        self.base_url = ""
        self.id_field = "id"
        self.path = operation.path
        self.account_name = ""
        self.parent: Owned | None = None
        self.references: list[tuple[str, str]] = []
        self.notes: dict[str, object] = {}
        self.body: bytes = b""
        self.content_type = "application/json"
        self.upload: Upload | None = None
        self.fields: dict[str, msgspec.Raw] = {}
        self.forwarded: list[tuple[str, str]] = []
        self.query = ""
        self.model_asked = ""
        self.stream = False
        self.wants_usage = False
        self.targets: tuple[Target, ...] = ()
        self.target: Target | None = None
        self.attempts = 0
        self.status = 0
        self.error = ""
        self.client_gone = False
        self.ended_by: CallError | None = None
        self.task: asyncio.Task[object] | None = None
        self.timings: dict[str, float] = {}

    def end(self, error: CallError) -> None:
        """End the running call from outside: a revoked token, a disabled account. The handler answers with ``error``."""
        if self.ended_by is None and self.task is not None and not self.task.done():
            self.ended_by = error
            self.task.cancel()


class Reply:
    """What goes back: ``body`` whole, or ``stream`` piece by piece. ``close`` runs once, whatever happens."""

    __slots__ = ("_on_close", "body", "headers", "status", "stream")

    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        body: bytes = b"",
        stream: AsyncIterator[bytes] | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.stream = stream
        self._on_close = on_close

    def also_on_close(self, action: Callable[[], None]) -> None:
        """Let ``action`` run when the reply is closed, after what runs already."""
        before = self._on_close

        def both() -> None:
            if before is not None:
                before()
            action()

        self._on_close = both

    def close(self) -> None:
        """Release what the reply holds and record what is known. Safe to call twice, and for a stream never begun."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()


def new_request_id() -> str:
    """Return an id of ours for a call; the client's own is never used for it."""
    return f"req_{uuid_utils.uuid7().hex}"


_text_map = msgspec.json.Decoder(dict[str, str])
_retry = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_options(headers: Mapping[bytes, bytes]) -> Options:
    """Read the contract's request headers; raise :class:`InvalidRequest` that names a bad one."""
    options = Options()
    if b"x-tfy-provider-name" in headers:
        options.provider_name = headers[b"x-tfy-provider-name"].decode("latin1").strip()
    if b"x-tfy-metadata" in headers:
        options.metadata = _metadata(headers[b"x-tfy-metadata"])
    if b"x-tfy-request-timeout" in headers:
        options.request_timeout = _milliseconds("x-tfy-request-timeout", headers[b"x-tfy-request-timeout"])
    if b"x-tfy-ttft-timeout-ms" in headers:
        options.first_token_timeout = _milliseconds("x-tfy-ttft-timeout-ms", headers[b"x-tfy-ttft-timeout-ms"])
    if b"x-tfy-retry-config" in headers:
        options.retries, options.retry_statuses = _retries(headers[b"x-tfy-retry-config"])
    return options


def _metadata(text: bytes) -> dict[str, str]:
    try:
        metadata = _text_map.decode(text)
    except (ValueError, RecursionError):
        raise InvalidRequest(
            'x-tfy-metadata must be a JSON object of texts, for example {"project": "search"}.', param="x-tfy-metadata"
        ) from None
    if len(metadata) > METADATA_ENTRIES:
        raise InvalidRequest(f"x-tfy-metadata has more than {METADATA_ENTRIES} entries.", param="x-tfy-metadata")
    for key, value in metadata.items():
        if len(value) > METADATA_VALUE_CHARACTERS or len(key) > METADATA_VALUE_CHARACTERS:
            raise InvalidRequest(
                f"x-tfy-metadata: {key[:40]!r} is longer than {METADATA_VALUE_CHARACTERS} characters.",
                param="x-tfy-metadata",
            )
    return metadata


def _milliseconds(name: str, text: bytes) -> float:
    digits = text.strip()
    if not digits.isdigit() or len(digits) > 12 or not 0 < int(digits) <= MAX_TIMEOUT_MS:
        raise InvalidRequest(f"{name} must be a whole number of milliseconds, at most {MAX_TIMEOUT_MS}.", param=name)
    return int(digits) / 1000


def _retries(text: bytes) -> tuple[int, frozenset[int]]:
    """Read ``{"attempts": 3, "onStatusCodes": [429, 500]}``; both spellings of the codes, as numbers or texts."""
    try:
        given = _retry.decode(text)
        attempts = msgspec.json.decode(given.get("attempts", b"2"), type=int)
        codes = given.get("onStatusCodes", given.get("on_status_codes"))
        listed = msgspec.json.decode(codes, type=list[int | str]) if codes is not None else sorted(RETRY_STATUSES)
        statuses = frozenset(int(code) for code in listed)
    except (ValueError, RecursionError):
        raise InvalidRequest(
            'x-tfy-retry-config must be like {"attempts": 3, "onStatusCodes": [429, 500, 503]}.',
            param="x-tfy-retry-config",
        ) from None
    if not 0 <= attempts <= MAX_RETRIES or any(not 400 <= code <= 599 for code in statuses):
        raise InvalidRequest(
            f"x-tfy-retry-config: attempts go from 0 to {MAX_RETRIES}, status codes from 400 to 599.",
            param="x-tfy-retry-config",
        )
    return attempts, statuses
