"""The contract's query API, ``/api/svc/v1/``: what calls did and cost, for those who may see it, by their API token.

Queries run on two threads of their own: however slow the database, they take nothing from calls.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from django.db import close_old_connections
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.caller import Caller
from gateway.access import grants
from gateway.call import errors
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import InferenceView
from gateway.endpoints.describe import json_reply
from gateway.state import state
from usage import feedback
from usage.conditions import BadQuery
from usage.metric_query import query_metrics
from usage.models import Feedback, UsageRecord
from usage.span_query import query_spans

BODY_BYTES = 2**18
BODY_SECONDS = 10.0
_threads = ThreadPoolExecutor(2, "gatehouse-queries")


def visible(caller: Caller) -> "QuerySet[UsageRecord]":
    """Return the records that a caller may see: their own, those on accounts they manage, all for superusers.

    A token that is limited to some accounts and models sees those alone.
    """
    records = UsageRecord.objects.all()
    if not caller.is_superuser:
        managed = [name for name, account in state.directory.accounts.items() if grants.manages(caller, account)]
        own = Q(subject_type=caller.subject_type, subject_id=caller.subject_id, subject_name=caller.subject_name)
        records = records.filter(own | Q(account__in=managed))
    if caller.limits is not None:
        limits = list(caller.limits)
        records = records.filter(Q(account__in=limits) | Q(model_asked__in=limits))
    return records


class QueryView(InferenceView):
    """A ``POST`` of a JSON query, answered from the usage records that the caller may see."""

    async def answer(self, request: InferenceRequest, query: Callable[..., dict[str, Any]]) -> Reply:
        """Answer with what ``query(records, body, now)`` returns."""
        body = await read_object(request)
        return json_reply(await in_thread(self._run, query, body))

    def _run(self, query: Callable[..., dict[str, Any]], body: Mapping[str, Any]) -> dict[str, Any]:
        return query(visible(self.caller), body, timezone.now())


class SpansQuery(QueryView):
    """Calls and their attempts as spans."""

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Answer a page of spans."""
        return await self.answer(request, query_spans)


class MetricsQuery(QueryView):
    """Aggregates of calls, by groups and over time."""

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Answer data points."""
        return await self.answer(request, query_metrics)


class GatewayFeedback(InferenceView):
    """What a caller says of a call: ``POST`` creates or replaces it, ``PUT`` changes it, ``DELETE`` takes it back."""

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Rate a call that the caller may see."""
        return json_reply({"data": await in_thread(self._save, await read_object(request), True)})

    async def put(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Change what the caller said before."""
        return json_reply({"data": await in_thread(self._save, await read_object(request), False)})

    async def delete(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Take it back."""
        return json_reply({"data": await in_thread(self._delete, await read_object(request))})

    def _save(self, body: Mapping[str, Any], whole: bool) -> dict[str, Any]:
        trace_id, span_id = feedback.target_of(body)
        values = feedback.values_of(body, whole=whole)
        now, own = timezone.now(), self._own(trace_id, span_id)
        if whole:
            if not feedback.is_call(visible(self.caller), trace_id, span_id):
                raise _no_call()
            names = {"subject_name": self.caller.subject_name, "updated_at": now}
            fresh = {"comment": "", "metadata": {}, **values, **names}
            row, _ = Feedback.objects.update_or_create(
                **own, defaults=fresh, create_defaults={**fresh, "created_at": now}
            )
            return row.as_dict()
        if not Feedback.objects.filter(**own).update(**values, updated_at=now):
            raise _no_call()
        return Feedback.objects.get(**own).as_dict()

    def _delete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        own = self._own(*feedback.target_of(body))
        if not Feedback.objects.filter(**own).delete()[0]:
            raise _no_call()
        return {"deleted": True}

    def _own(self, trace_id: str, span_id: str) -> dict[str, Any]:
        caller = self.caller
        return {
            "trace_id": trace_id,
            "span_id": span_id,
            "subject_type": caller.subject_type,
            "subject_id": caller.subject_id,
        }


def _no_call() -> errors.NotFound:
    return errors.NotFound(
        "The call does not exist, is not yours, or has no feedback. A call can be rated a second after it ended.",
        param="target",
        code="feedback_target_not_found",
    )


async def read_object(request: InferenceRequest) -> dict[str, Any]:
    """Return a request's body, a JSON object. Raises :class:`~gateway.call.errors.InvalidRequest`."""
    raw = await request.read_body(BODY_BYTES, BODY_SECONDS)
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (ValueError, RecursionError):
        raise errors.InvalidRequest("The body must be a JSON object.", code="invalid_json") from None


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run what asks the database on a thread for queries. A :class:`BadQuery` becomes an invalid request."""

    def run() -> Any:
        close_old_connections()
        try:
            return function(*arguments)
        finally:
            close_old_connections()

    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, run)
    except BadQuery as error:
        raise errors.InvalidRequest(str(error), param=error.param, code="invalid_query") from None
