"""The contract's ``spans/query`` over usage records: every record is the span of an attempt (``Model``), and the first
of a call the call's own span, too. Both say nothing of records that the caller may not see.

Ids are those of exported traces (``gateway.telemetry.context``), so both can be looked up by each other.
"""

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from usage.conditions import (
    FLAG,
    LIST,
    NUMBER,
    RESOLVED,
    BadQuery,
    Field,
    filters_of,
    is_text,
    moment,
    narrowed,
    with_metadata,
    with_models,
)
from usage.feedback import of_calls
from usage.id_times import SLACK
from usage.models import UsageRecord

LIMIT, MOST = 200, 1000
MODEL_SPAN: Final = "Model"
SPAN_TYPES: Final = {
    "chat": "ChatCompletion",
    "responses": "ChatCompletion",
    "text_completion": "Completion",
    "embeddings": "Embedding",
    "rerank": "Rerank",
}
"""What the contract calls a call's own span, by the operation; of others it is the operation."""
SPAN_TYPE: Final = "tfy.span_type"
SPAN_ID: Final = re.compile(r"[0-9a-f]{16}")
MILLISECONDS, NANOSECONDS, DOLLARS = 1000, 1e-3, 1e12

SPAN_FIELDS: Final = {
    "spanName": Field("operation"),
    "statusMessage": Field("error_message"),
    "createdBySubjectSlug": Field("subject_name"),
    "createdBySubjectType": Field("subject_type"),
    "createdBySubjectTeams": Field("teams", LIST),
    "durationNs": Field("latency_us", NUMBER, NANOSECONDS),
}
ATTRIBUTES: Final = {
    "tfy.request.model_name": Field("model_asked"),
    "tfy.request.created_by_subject": Field("subject_name"),
    "tfy.request.created_by_subject_teams": Field("teams", LIST),
    "tfy.model.name": Field("model_served"),
    "tfy.model.fqn": Field(RESOLVED),
    "tfy.model.streaming": Field("stream", FLAG),
    "tfy.model.request_type": Field("operation"),
    "tfy.model.metric.latency_in_ms": Field("latency_us", NUMBER, MILLISECONDS),
    "tfy.model.metric.time_to_first_token_in_ms": Field("ttft_us", NUMBER, MILLISECONDS),
    "tfy.model.metric.input_tokens": Field("input_tokens", NUMBER),
    "tfy.model.metric.output_tokens": Field("output_tokens", NUMBER),
    "tfy.model.metric.cache_read_input_tokens": Field("cached_tokens", NUMBER),
    "tfy.model.metric.cache_creation_input_tokens": Field("cache_write_tokens", NUMBER),
    "tfy.model.metric.cost_in_usd": Field("cost_pico", NUMBER, DOLLARS),
    "tfy.error_message": Field("error_message"),
    "http.response.status_code": Field("status", NUMBER),
    "error.type": Field("error_class"),
    "gen_ai.operation.name": Field("operation"),
    "gen_ai.provider.name": Field("provider"),
    "gen_ai.request.model": Field("model_asked"),
    "gen_ai.response.model": Field("model_served"),
    "gen_ai.usage.input_tokens": Field("input_tokens", NUMBER),
    "gen_ai.usage.output_tokens": Field("output_tokens", NUMBER),
    "gatehouse.provider_account": Field("account"),
    "gatehouse.request_id": Field("request_id"),
    "gatehouse.token": Field("token_prefix"),
    "gatehouse.attempt": Field("attempt_number", NUMBER),
    "gatehouse.cost_usd": Field("cost_pico", NUMBER, DOLLARS),
    "gatehouse.object_id": Field("object_id"),
    "gatehouse.batch": Field("batch_key"),
}
"""What a filter's ``spanFieldName`` and ``spanAttributeKey`` may be."""


class _Types:
    """Which spans are asked for: attempts, and calls' own of some types (``None``: of all)."""

    def __init__(self) -> None:
        self.attempts = True
        self.calls: set[str] | None = None
        self.not_calls: set[str] = set()

    def take(self, operator: str, value: Any, param: str) -> None:
        if operator not in ("EQUAL", "NOT_EQUAL", "IN", "NOT_IN"):
            raise BadQuery(f"{SPAN_TYPE} takes EQUAL, NOT_EQUAL, IN and NOT_IN.", f"{param}.operator")
        values = value if isinstance(value, list) else [value]
        if not all(is_text(each) for each in values):
            raise BadQuery(f"{param}.value must be a type of span, or a list of them.", f"{param}.value")
        given = set(values)
        if operator in ("EQUAL", "IN"):
            self.attempts = self.attempts and MODEL_SPAN in given
            self.calls = given if self.calls is None else self.calls & given
        else:
            self.attempts = self.attempts and MODEL_SPAN not in given
            self.not_calls |= given

    def calls_own(self, operation: str) -> bool:
        kind = SPAN_TYPES.get(operation, operation)
        return (self.calls is None or kind in self.calls) and kind not in self.not_calls


def query_spans(records: "QuerySet[UsageRecord]", query: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return a page of spans of ``records``, which are those that the caller may see. Raises :class:`BadQuery`."""
    descending = _direction(query) == "desc"
    limit = _limit(query)
    types = _Types()
    chosen = _filtered(with_models(_in_time(records, query, now)), query, types)
    if not types.attempts:
        chosen = chosen.filter(attempt_number__lte=1)
        if types.calls is not None:
            chosen = chosen.filter(operation__in=_operations(types.calls))
    if query.get("pageToken"):
        chosen = chosen.filter(_after(query["pageToken"], descending))
    order = ("-created_at", "-id") if descending else ("created_at", "id")
    page = list(chosen.order_by(*order)[: limit + 1])
    others = _attempts_of(page[:limit], records) if types.calls is None or types.calls - {MODEL_SPAN} else {}
    said = of_calls(((trace_id_of(each), each.request_id[-16:]) for each in page[:limit]), records.db)
    spans: list[dict[str, Any]] = []
    last: UsageRecord | None = None
    for record in page[:limit]:
        if len(spans) >= limit:
            break
        attempts = others.get(record.request_id) or [record]
        if record == attempts[0] and record.attempt_number <= 1 and types.calls_own(record.operation):
            span = call_span(record, attempts)
            spans.append(span | {"tfyGatewayFeedbacks": said.get((span["traceId"], span["spanId"]), [])})
        if types.attempts and record.attempt_number:
            spans.append(attempt_span(record))
        last = record
    more = last is not None and last is not page[-1]
    return {"data": spans, "pagination": {"nextPageToken": _token(last) if more and last is not None else None}}


def attempt_span(record: UsageRecord) -> dict[str, Any]:
    """Return the span of an attempt, as the contract has spans."""
    return {
        **_frame(record, record.status, record.error_class, record.error_message),
        "spanId": str(record.id).replace("-", "")[-16:],
        "parentSpanId": record.request_id[-16:],
        "spanName": f"{record.operation} {record.model_served}".rstrip(),
        "spanKind": "Client",
        "timestamp": _iso(record.created_at),
        "durationNs": record.latency_us * 1000,
        "spanAttributes": {SPAN_TYPE: MODEL_SPAN, **_attributes(record)},
    }


def call_span(record: UsageRecord, attempts: list[UsageRecord]) -> dict[str, Any]:
    """Return a call's own span: its last attempt's outcome, and what all of its ``attempts`` took and cost.

    A socket's responses, and work that went on after the call, are attempts with the number of the first.
    """
    last = max(attempts, key=lambda each: each.attempt_number)
    began = min(each.created_at for each in attempts)
    ended = max(each.created_at + timedelta(microseconds=each.latency_us) for each in attempts)
    costs = [each.cost_pico for each in attempts if each.cost_pico is not None]
    return {
        **_frame(record, last.status, last.error_class, last.error_message),
        "spanId": record.request_id[-16:],
        "parentSpanId": "",
        "spanName": f"{record.operation} {record.model_asked}".rstrip(),
        "spanKind": "Server",
        "timestamp": _iso(began),
        "durationNs": int((ended - began) / timedelta(microseconds=1)) * 1000,
        "spanAttributes": {
            SPAN_TYPE: SPAN_TYPES.get(record.operation, record.operation),
            "tfy.request.model_name": record.model_asked,
            "tfy.request.created_by_subject": record.subject_name,
            "tfy.request.created_by_subject_teams": record.teams,
            "tfy.request.metadata": record.metadata,
            "http.response.status_code": last.status,
            "gatehouse.request_id": record.request_id,
            "gatehouse.token": record.token_prefix,
            "gatehouse.attempts": len([each for each in attempts if each.attempt_number]),
            "gatehouse.cost_usd": sum(costs) / DOLLARS if costs else None,
        },
    }


def trace_id_of(record: UsageRecord) -> str:
    """Return the id of the trace that a record is part of."""
    return record.trace_id or record.request_id[-32:]


def _frame(record: UsageRecord, status: int, error: str, message: str) -> dict[str, Any]:
    return {
        "traceId": trace_id_of(record),
        "serviceName": "gatehouse",
        "scopeName": "gatehouse",
        "statusCode": "ERROR" if error or status >= 500 else "OK",
        "statusMessage": message or error,
        "createdBySubject": {
            "subjectType": record.subject_type,
            "subjectSlug": record.subject_name,
            "subjectId": str(record.subject_id),
        },
        "events": [],
    }


def _attributes(record: UsageRecord) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in ATTRIBUTES.items():
        value = getattr(record, field.column)
        if value is not None and value != "":
            found[name] = value / field.scale if field.scale != 1 else value
    if record.ttft_us is not None and record.output_tokens > 1:
        between = (record.latency_us - record.ttft_us) / (record.output_tokens - 1)
        found["tfy.model.metric.inter_token_latency_in_ms"] = between / MILLISECONDS
    return found


def _in_time(records: "QuerySet[UsageRecord]", query: Mapping[str, Any], now: datetime) -> "QuerySet[UsageRecord]":
    if not query.get("startTime"):
        raise BadQuery("startTime is missing: a time like 2026-11-26T12:00:00Z.", "startTime")
    until = moment(query["endTime"], "endTime") if query.get("endTime") else now
    return records.filter(created_at__gte=moment(query["startTime"], "startTime"), created_at__lte=until)


def _filtered(records: "QuerySet[UsageRecord]", query: Mapping[str, Any], types: _Types) -> "QuerySet[UsageRecord]":
    if query.get("traceIds"):
        records = records.filter(_of_traces(query["traceIds"], "traceIds"))
    for number, given in enumerate(filters_of(query)):
        operator, value, param = given.get("operator"), given.get("value"), f"filters[{number}]"
        name = str(given.get("spanFieldName") or given.get("spanAttributeKey"))
        if given.get("gatewayRequestMetadataKey"):
            records, field = with_metadata(records, given["gatewayRequestMetadataKey"], number)
            records = narrowed(records, number, field, str(operator), value)
        elif name == SPAN_TYPE:
            types.take(str(operator), value, param)
        elif name in ("traceId", "spanId"):
            if name == "traceId":
                found = _of_traces(value, param)
            else:
                records, found = records.annotate(id_text=Cast("id", TextField())), _of_spans(value, param)
            records = records.filter(found if "NOT" not in str(operator) else ~found)
        else:
            table = SPAN_FIELDS if "spanFieldName" in given else ATTRIBUTES
            if name not in table:
                valid = ", ".join(
                    sorted({*table, "traceId", "spanId"} if table is SPAN_FIELDS else {*table, SPAN_TYPE})
                )
                raise BadQuery(f"{name!r} can't be filtered by. Valid names: {valid}.", param)
            records = narrowed(records, number, table[name], str(operator), value)
    return records


def _of_traces(value: Any, param: str) -> Q:
    given = value if isinstance(value, list) else [value]
    if len(given) > MOST or not all(is_text(each) for each in given):
        raise BadQuery(f"{param} must be trace ids.", param)
    return Q(trace_id__in=given) | Q(trace_id="", request_id__in=[f"req_{each}" for each in given])


def _of_spans(value: Any, param: str) -> Q:
    """Return what finds spans by id: a call's is the end of its request id, an attempt's the end of its own."""
    given = value if isinstance(value, list) else [value]
    if len(given) > 20 or not all(isinstance(each, str) and SPAN_ID.fullmatch(each) for each in given):
        raise BadQuery(f"{param} must be at most 20 span ids of 16 digits.", param)
    found = Q(pk__in=[])
    for each in given:
        # SQLite has ids without dashes.
        found |= Q(request_id__endswith=each) | Q(id_text__endswith=each)
        found |= Q(id_text__endswith=f"{each[:4]}-{each[4:]}")
    return found


def _operations(types: set[str]) -> list[str]:
    """Return the operations whose calls have one of the span types."""
    return [*(name for name, kind in SPAN_TYPES.items() if kind in types), *(types - set(SPAN_TYPES.values()))]


def _attempts_of(page: list[UsageRecord], records: "QuerySet[UsageRecord]") -> dict[str, list[UsageRecord]]:
    """Return, by request id, those of ``records`` that belong to the calls that begin in a page, the first one
    first.
    """
    firsts = [record for record in page if record.attempt_number <= 1 and record.request_id]
    found: dict[str, list[UsageRecord]] = defaultdict(list)
    if not firsts:
        return found
    # The others follow the first one; a day before is for clocks that were set.
    since = min(record.created_at for record in firsts) - SLACK
    others = records.filter(request_id__in={record.request_id for record in firsts}, created_at__gte=since)
    for record in others.order_by("attempt_number", "created_at", "id"):
        found[record.request_id].append(record)
    return found


def _direction(query: Mapping[str, Any]) -> str:
    given = str(query.get("sortDirection") or "desc").lower()
    if given not in ("asc", "desc"):
        raise BadQuery("sortDirection must be asc or desc.", "sortDirection")
    return given


def _limit(query: Mapping[str, Any]) -> int:
    given = query.get("limit", LIMIT)
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MOST:
        raise BadQuery(f"limit must be a whole number from 1 to {MOST}.", "limit")
    return given


def _token(record: UsageRecord) -> str:
    return base64.urlsafe_b64encode(f"{record.created_at.isoformat()} {record.id}".encode()).decode()


def _after(token: Any, descending: bool) -> Q:
    try:
        when, _, which = base64.urlsafe_b64decode(str(token)).decode().rpartition(" ")
        at, pk = moment(when, "pageToken"), UUID(which)
    except (ValueError, binascii.Error):
        raise BadQuery("pageToken is not one of ours. Send nextPageToken of the page before.", "pageToken") from None
    if descending:
        return Q(created_at__lt=at) | Q(created_at=at, pk__lt=pk)
    return Q(created_at__gt=at) | Q(created_at=at, pk__gt=pk)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
