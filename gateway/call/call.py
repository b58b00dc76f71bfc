"""A call: who asks, for which operation, with which body and options, and what is known of the whole of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, Protocol

import uuid_utils
from django.conf import settings

from accounts.caller import Caller
from gateway.billing.audio_length import AudioMeter
from gateway.call.body import Body
from gateway.call.errors import CallError
from gateway.call.headers import Options
from gateway.call.load import Ticket
from gateway.call.operation import Operation
from gateway.call.plan import Plan, PlannedTarget
from gateway.models import Owned
from gateway.telemetry.context import Trace
from providers.snapshot import ModelSnapshot, Target
from providers.upstream.client import UpstreamAnswer
from usage.records import AttemptRecord


class CallAttempt(Protocol):
    """What a call knows of an attempt to have it answered (``gateway.pipeline.attempt.Attempt``)."""

    call: "Call"
    target: Target
    planned: PlannedTarget | None
    number: int
    record: AttemptRecord
    failure: BaseException | None
    answer: UpstreamAnswer | None
    outcome: int
    spare_key: bool
    probes: bool
    upstream_ms: float
    complete: bool

    @property
    def seconds_without_client(self) -> float:
        """How long the attempt goes on when its client leaves now."""


class CallLimits(Protocol):
    """What a call holds of the limits that it passed (``gateway.policies.limits.Receipt``)."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that say how much is left."""


@dataclass(slots=True)
class BatchLine:
    """Which line of which batch a call is: ``batch_id`` is our id of the batch, ``key`` and ``line`` identify it in
    records.
    """

    batch_id: str
    key: str
    line: str


@dataclass(slots=True)
class JobInput:
    """What the record of a job, or of its input file, keeps of the call that creates it. JSON values only.

    ``models`` maps the vendor's names to our public ones; ``batch_input`` is what the check of an input file found.
    """

    models: dict[str, str] = field(default_factory=dict)
    model_types: list[str] = field(default_factory=list)
    lines: int = 0
    endpoint: str = ""
    batch_input: dict[str, Any] | None = None


class Call:
    """One call on its way: what is true for the whole of it. The describing stage fills it, policies and pipeline read
    it.

    ``account_name`` is the account that was named or chosen: binding where no model is named, or where the address or
    a batch names it (``account_binds``), a preference otherwise. ``model_of_path`` is the model that the address
    names, whatever the body does. ``history`` are the items of earlier responses that the call goes on from.
    ``references`` are ids of objects that the request mentions, with the field that did; ``as_asked`` are body and
    references before they were made to fit the first of several targets. ``session_headers`` are the request's own,
    for what makes a session. ``parent`` is the record of the object that the path names; ``payer`` the model that pays
    for a call which names none itself, ``named`` the models that a call through ``/proxy/`` names. ``wants_usage``: the
    caller asks for a stream's usage; ``asks_usage``: we do. ``audio`` measures what is heard or spoken. ``head_only``:
    the client sent HEAD, which is answered as GET without the body. ``decision`` is what was decided about the call and
    why, for its records; ``limits`` what it holds of rate limits and budgets. ``begun`` counts the attempts that were
    begun; a copy that makes a second request shares it.
    """

    __slots__ = (
        "account_binds",
        "account_name",
        "as_asked",
        "asks_usage",
        "attempt",
        "audio",
        "base_url",
        "batch_line",
        "begun",
        "body",
        "caller",
        "client_gone",
        "decision",
        "ended_by",
        "endpoint",
        "error",
        "forwarded",
        "head_only",
        "history",
        "id_field",
        "job",
        "limits",
        "method",
        "model_asked",
        "model_of_path",
        "named",
        "operation",
        "options",
        "parent",
        "path",
        "payer",
        "plan",
        "query",
        "references",
        "request_id",
        "session_headers",
        "started_ns",
        "stream",
        "task",
        "ticket",
        "trace",
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
        self.head_only = False
        self.base_url = ""
        self.id_field = "id"
        self.path = operation.path
        self.query = ""
        self.forwarded: list[tuple[str, str]] = []
        self.body = Body()
        self.account_name = options.provider_name
        self.account_binds = False
        self.model_asked = ""
        self.model_of_path = ""
        self.stream = False
        self.wants_usage = False
        self.history: list[dict[str, Any]] = []
        self.asks_usage = False
        self.audio: AudioMeter | None = None
        self.references: list[tuple[str, str]] = []
        self.as_asked: tuple[Body, list[tuple[str, str]]] | None = None
        self.session_headers: Mapping[bytes, bytes] = {}
        self.parent: Owned | None = None
        self.payer: ModelSnapshot | None = None
        self.named: tuple[ModelSnapshot, ...] = ()
        self.job: JobInput | None = None
        self.batch_line: BatchLine | None = None
        self.plan = Plan()
        self.attempt: CallAttempt | None = None
        self.begun = [0]
        self.error = ""
        self.client_gone = False
        self.decision: dict[str, Any] = {}
        self.limits: CallLimits | None = None
        self.ended_by: CallError | None = None
        self.task: asyncio.Task[object] | None = None
        self.ticket: Ticket | None = None
        self.trace = Trace(request_id)

    @property
    def target(self) -> Target | None:
        """Where the call goes: the target of the current attempt, or before there is one the preferred one."""
        if self.attempt is not None:
            return self.attempt.target
        return self.plan.first if self.plan.targets else None

    @property
    def is_overdue(self) -> bool:
        """Whether the call takes longer than the operator allows."""
        return perf_counter_ns() - self.started_ns > settings.CALL_MAX_SECONDS * 1e9

    def forget_attempt(self) -> None:
        """Let go of the attempt when all is over: each knows the other, which only the collector of cycles would end.

        An attempt that completes later, as its usage is still estimated, is needed until then.
        """
        if self.attempt is not None and self.attempt.complete:
            self.attempt = None

    def end(self, error: CallError) -> None:
        """End the running call from outside: a revoked token, a disabled account.

        The handler answers with ``error``.
        """
        if self.ended_by is None and self.task is not None and not self.task.done():
            self.ended_by = error
            self.task.cancel()


def new_request_id() -> str:
    """Return an id of ours for a call; the client's own is never used for it."""
    return f"req_{uuid_utils.uuid7().hex}"
