"""A call: who asks, for which operation, with which body and options. And the reply to it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Protocol

import msgspec
import uuid_utils

from accounts.caller import Caller
from gateway.call.errors import CallError
from gateway.call.headers import Options
from providers.snapshot import Target

if TYPE_CHECKING:
    from gateway.models import Owned


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


def new_request_id() -> str:
    """Return an id of ours for a call; the client's own is never used for it."""
    return f"req_{uuid_utils.uuid7().hex}"
