"""The query API's functions on both databases: operators, spans, pages, aggregates."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.support.usage_rows import record
from usage.conditions import OPERATORS, BadQuery
from usage.metric_query import query_metrics
from usage.models import UsageRecord
from usage.span_query import query_spans

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = START + timedelta(hours=3)
TIMES = {"startTime": "2026-11-20T00:00:00Z"}
DAY = {"startTs": "2026-11-20T00:00:00Z", "endTs": "2026-11-21T00:00:00Z"}


def call(number: int, minute: int, **more: Any) -> UsageRecord:
    return record(START + timedelta(minutes=minute), request_id=f"req_{number:032x}", **more)


def store(using: str) -> None:
    rows = [
        call(1, 0, model_asked="a/gpt", subject_name="ada@x", teams=["red", "blue"], latency_us=100_000),
        call(2, 1, model_asked="a/gpt", subject_name="bob@x", teams=["reddish"], latency_us=300_000, stream=True),
        call(3, 2, model_asked="b/claude", subject_name="ada@x", metadata={"project": "p_1"}, cost_pico=2 * 10**12),
        call(
            4, 3, model_asked="a/gpt", status=503, error_class="upstream_error", error_message="too busy", cost_pico=0
        ),
        call(4, 4, model_asked="a/gpt", attempt_number=2, subject_name="cem@x"),
        call(5, 70, model_asked="c/none", attempt_number=0, status=404, error_class="model_not_found", cost_pico=None),
    ]
    for row in rows:
        row.ttft_us = row.ttft_us if row.stream else None
    UsageRecord.objects.using(using).bulk_create(rows)


def spans(using: str, **query: Any) -> list[dict[str, Any]]:
    found = query_spans(UsageRecord.objects.using(using), {**TIMES, "sortDirection": "asc", **query}, NOW)
    return list(found["data"])


def calls(using: str, *filters: dict[str, Any]) -> list[int]:
    """The numbers of the calls whose attempts satisfy the filters."""
    types = {"spanAttributeKey": "tfy.span_type", "operator": "EQUAL", "value": "Model"}
    return [int(span["traceId"], 16) for span in spans(using, filters=[types, *filters])]


@pytest.mark.parametrize(
    ("key", "operator", "value", "expected"),
    [
        ("tfy.request.model_name", "EQUAL", "a/gpt", [1, 2, 4, 4]),
        ("tfy.request.model_name", "NOT_EQUAL", "a/gpt", [3]),
        ("tfy.request.model_name", "IN", ["b/claude", "x"], [3]),
        ("tfy.request.model_name", "NOT_IN", ["b/claude"], [1, 2, 4, 4]),
        ("tfy.request.model_name", "STRING_CONTAINS", "gp", [1, 2, 4, 4]),
        ("tfy.request.model_name", "STRING_NOT_CONTAINS", "gp", [3]),
        ("tfy.request.model_name", "STRING_STARTS_WITH", "b/", [3]),
        ("tfy.request.model_name", "STRING_NOT_STARTS_WITH", "a/", [3]),
        ("tfy.request.model_name", "STRING_ENDS_WITH", "gpt", [1, 2, 4, 4]),
        ("tfy.request.model_name", "STRING_NOT_ENDS_WITH", "gpt", [3]),
        ("tfy.request.model_name", "STRING_CONTAINS", "%", []),
        ("tfy.model.metric.latency_in_ms", "GREATER_THAN", 299.9, [2]),
        ("tfy.model.metric.latency_in_ms", "LESS_THAN", 100.1, [1]),
        ("tfy.model.metric.latency_in_ms", "BETWEEN", [100, 300], [1, 2]),
        ("tfy.model.metric.cost_in_usd", "GREATER_THAN_EQUAL", 2, [3]),
        ("http.response.status_code", "LESS_THAN_EQUAL", 502, [1, 2, 3, 4]),
        ("http.response.status_code", "IN", [503], [4]),
        ("tfy.model.streaming", "EQUAL", True, [2]),
        ("tfy.model.metric.time_to_first_token_in_ms", "PRESENT", True, [2]),
        ("tfy.model.metric.time_to_first_token_in_ms", "IS_NULL", True, [1, 3, 4, 4]),
        ("error.type", "PRESENT", None, [4]),
        ("error.type", "IS_NULL", False, [4]),
        ("tfy.request.created_by_subject_teams", "ARRAY_HAS_ANY", ["red", "green"], [1]),
        ("tfy.request.created_by_subject_teams", "ARRAY_HAS_NONE", ["red"], [2, 3, 4, 4]),
        ("tfy.request.created_by_subject_teams", "STRING_CONTAINS", "red", [1, 2]),
    ],
)
def test_an_operator(database: str, key: str, operator: str, value: Any, expected: list[int]) -> None:
    store(database)
    if "latency" in key:
        UsageRecord.objects.using(database).exclude(latency_us__in=[100_000, 300_000]).update(latency_us=200_000_000)
        expected = expected if operator != "GREATER_THAN" else [2, 3, 4, 4]
    assert calls(database, {"spanAttributeKey": key, "operator": operator, "value": value}) == expected


def test_every_operator_of_the_contract_is_there() -> None:
    named = {name for operators in OPERATORS.values() for name in operators}
    assert len(named) == 19


def test_metadata_and_ids(database: str) -> None:
    store(database)
    project = {"gatewayRequestMetadataKey": "project", "operator": "STRING_STARTS_WITH", "value": "p_"}
    assert calls(database, project) == [3]
    assert calls(database, {"spanFieldName": "traceId", "operator": "EQUAL", "value": f"{2:032x}"}) == [2]
    own = f"{4:032x}"[-16:]
    assert calls(database, {"spanFieldName": "spanId", "operator": "EQUAL", "value": own}) == [4, 4]
    second = UsageRecord.objects.using(database).get(attempt_number=2)
    assert calls(database, {"spanFieldName": "spanId", "operator": "EQUAL", "value": second.id.hex[-16:]}) == [4]
    assert calls(database, {"spanFieldName": "spanId", "operator": "NOT_IN", "value": [second.id.hex[-16:]]}) == [
        1,
        2,
        3,
        4,
    ]
    found = spans(database, traceIds=[f"{4:032x}"])
    assert [(span["spanKind"], span["parentSpanId"]) for span in found] == [
        ("Server", ""),
        ("Client", own),
        ("Client", own),
    ]
    root = found[0]
    assert root["spanId"] == own
    assert root["statusCode"] == "OK", "the second attempt answered"
    assert root["durationNs"] >= 60 * 10**9
    assert root["spanAttributes"]["gatehouse.attempts"] == 2


def test_a_call_of_many_records_is_one_span(database: str) -> None:
    """A socket's responses, and what a background response used, have records with the request id of their call."""
    rows = [
        call(7, 0, operation="realtime_session", status=101, cost_pico=0),
        call(7, 1, operation="realtime", status=101, cost_pico=10**12),
        call(7, 2, operation="realtime", status=101, error_class="upstream_error", cost_pico=10**12),
    ]
    UsageRecord.objects.using(database).bulk_create(rows)
    for order in ("asc", "desc"):
        found = spans(database, sortDirection=order)
        assert len({span["spanId"] for span in found}) == len(found) == 4
        (root,) = [span for span in found if span["spanKind"] == "Server"]
        assert (root["spanName"], root["statusCode"]) == ("realtime_session openai-main/gpt-4o-mini", "OK")
        assert root["spanAttributes"]["gatehouse.cost_usd"] == 2


def test_a_calls_own_span_says_nothing_of_attempts_that_are_not_shown(database: str) -> None:
    """As to who manages one of the accounts that a call went to."""
    rows = [
        call(8, 0, account="mine", status=429, error_class="upstream_error", error_message="slow down", cost_pico=0),
        call(8, 1, account="other", attempt_number=2, status=500, error_message="secret words", cost_pico=10**12),
    ]
    UsageRecord.objects.using(database).bulk_create(rows)
    seen = UsageRecord.objects.using(database).filter(account="mine")
    root, attempt = query_spans(seen, {**TIMES, "traceIds": [f"{8:032x}"]}, NOW)["data"]
    assert (root["statusMessage"], root["spanAttributes"]["gatehouse.cost_usd"]) == ("slow down", 0)
    assert root["durationNs"] == attempt["durationNs"]


def test_types_of_spans(database: str) -> None:
    store(database)

    def found(operator: str, value: Any) -> list[str]:
        given = {"spanAttributeKey": "tfy.span_type", "operator": operator, "value": value}
        return [span["spanAttributes"]["tfy.span_type"] for span in spans(database, filters=[given])]

    assert found("EQUAL", "ChatCompletion") == ["ChatCompletion"] * 5
    assert found("EQUAL", "Model") == ["Model"] * 5
    assert found("NOT_EQUAL", "Model") == ["ChatCompletion"] * 5
    assert found("EQUAL", "Embedding") == []
    assert len(found("IN", ["Model", "ChatCompletion"])) == 10


def test_pages_bring_everything_once(database: str) -> None:
    store(database)
    records = UsageRecord.objects.using(database)
    for direction in ("asc", "desc"):
        query: dict[str, Any] = {**TIMES, "limit": 3, "sortDirection": direction}
        found, rounds = [], 0
        while True:
            page = query_spans(records, query, NOW)
            found += [span["spanId"] for span in page["data"]]
            rounds += 1
            query["pageToken"] = page["pagination"]["nextPageToken"]
            if query["pageToken"] is None:
                break
        assert rounds > 2
        assert len(found) == len(set(found)) == 10


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"startTime": "yesterday"}, "startTime"),
        ({"startTime": None}, "startTime"),
        ({"limit": 0}, "limit"),
        ({"limit": True}, "limit"),
        ({"pageToken": "x"}, "pageToken"),
        ({"sortDirection": "up"}, "sortDirection"),
        ({"traceIds": [1]}, "traceIds"),
        ({"filters": {}}, "filters"),
        ({"filters": [{"spanAttributeKey": "password", "operator": "EQUAL", "value": "x"}]}, "filters[0]"),
        ({"filters": [{"spanAttributeKey": "error.type", "operator": "LIKE", "value": "x"}]}, "filters[0].operator"),
        ({"filters": [{"spanAttributeKey": "error.type", "operator": "EQUAL", "value": 3}]}, "filters[0].value"),
        ({"filters": [{"spanAttributeKey": "error.type", "operator": "EQUAL", "value": "\0"}]}, "filters[0].value"),
        (
            {"filters": [{"spanAttributeKey": "http.response.status_code", "operator": "IN", "value": 3}]},
            "filters[0].value",
        ),
        ({"filters": [{"spanAttributeKey": "tfy.span_type", "operator": "PRESENT"}]}, "filters[0].operator"),
        ({"filters": [{"spanAttributeKey": "tfy.span_type", "operator": "IN", "value": [{}]}]}, "filters[0].value"),
        ({"filters": [{"spanAttributeKey": ["x"], "operator": "EQUAL", "value": "x"}]}, "filters[0]"),
        ({"filters": [{"spanFieldName": {"x": 1}, "operator": "EQUAL", "value": "x"}]}, "filters[0]"),
        ({"filters": [{"gatewayRequestMetadataKey": 'a"b', "operator": "EQUAL", "value": "x"}]}, "filters[0]"),
        ({"filters": [{"gatewayRequestMetadataKey": "\0", "operator": "EQUAL", "value": "x"}]}, "filters[0]"),
        ({"filters": [{"spanFieldName": "spanId", "operator": "EQUAL", "value": "\0" * 16}]}, "filters[0]"),
        ({"traceIds": ["\0"]}, "traceIds"),
        ({"startTime": "0001-01-01T00:00:00+14:00"}, "startTime"),
        ({"pageToken": base64.b64encode(f"0001-01-01T00:00:00+14:00 {UUID(int=1)}".encode()).decode()}, "pageToken"),
    ],
)
def test_a_bad_query_is_named(query: dict[str, Any], param: str) -> None:
    with pytest.raises(BadQuery) as caught:
        query_spans(UsageRecord.objects.all(), {**TIMES, **query}, NOW)
    assert caught.value.param == param


# --- metrics ------------------------------------------------------------------------------------------------


def points(using: str, **query: Any) -> list[dict[str, Any]]:
    found = query_metrics(UsageRecord.objects.using(using), {**DAY, **query}, NOW)
    return list(found["data"]["dataPoints"])


def test_aggregates_by_group(database: str) -> None:
    store(database)
    UsageRecord.objects.using(database).update(input_tokens=10)
    aggregations = [
        {"type": "count", "column": "modelName"},
        {"type": "sum", "column": "inputTokens"},
        {"type": "sum", "column": "costInUSD"},
        {"type": "countDistinct", "column": "createdBySubjectSlug"},
        {"type": "max", "column": "latencyMs"},
    ]
    found = points(database, aggregations=aggregations, groupBy=["modelName"])
    by_model = {point["modelName"]: point for point in found}
    assert set(by_model) == {"a/gpt", "b/claude", "c/none"}
    assert by_model["a/gpt"]["total"] == by_model["a/gpt"]["countModelName"] == 4
    assert by_model["a/gpt"]["sumInputTokens"] == 40
    assert by_model["b/claude"]["sumCostInUSD"] == pytest.approx(2)
    assert by_model["a/gpt"]["countDistinctCreatedBySubjectSlug"] == 4
    assert by_model["a/gpt"]["maxLatencyMs"] >= 300


def test_percentiles_are_the_same_on_both_databases(database: str) -> None:
    rows = [call(number, 0, latency_us=value * 1000) for number, value in enumerate([10, 20, 30, 40, 100])]
    UsageRecord.objects.using(database).bulk_create(rows)
    given = [{"type": kind, "column": "latencyMs"} for kind in ("p50", "p75", "p90", "p99", "avg", "min")]
    (point,) = points(database, aggregations=given)
    found = {name: value for name, value in point.items() if name != "total"}
    assert found == pytest.approx(
        {
            "p50LatencyMs": 30,
            "p75LatencyMs": 40,
            "p90LatencyMs": 76,
            "p99LatencyMs": 97.6,
            "avgLatencyMs": 40,
            "minLatencyMs": 10,
        }
    )


def test_the_model_is_the_one_that_a_virtual_one_led_to(database: str) -> None:
    store(database)
    virtual = call(6, 5, model_asked="virtual/best", model_resolved="b/claude", cost_pico=10**12)
    UsageRecord.objects.using(database).bulk_create([virtual])
    by_model = {point["modelName"]: point["total"] for point in points(database, groupBy=["modelName"])}
    assert by_model == {"a/gpt": 4, "b/claude": 2, "c/none": 1}
    asked = points(database, groupBy=["requestedModelName"])
    assert {point["requestedModelName"] for point in asked} >= {"virtual/best", "b/claude"}
    claude = {"fieldName": "modelName", "operator": "EQUAL", "value": "b/claude"}
    assert points(database, filters=[claude])[0]["total"] == 2
    assert calls(database, {"spanAttributeKey": "tfy.model.fqn", "operator": "EQUAL", "value": "b/claude"}) == [3, 6]
    (last,) = spans(database, traceIds=[f"{6:032x}"])[1:]
    assert last["spanAttributes"]["tfy.model.fqn"] == "b/claude"
    assert last["spanAttributes"]["tfy.request.model_name"] == "virtual/best"


def test_numbers_that_no_column_holds_match_nothing(database: str) -> None:
    store(database)
    for value in (10**15, -(10**15)):
        for name in ("tfy.model.metric.cost_in_usd", "tfy.model.metric.input_tokens"):
            for operator, given in (("IN", [value]), ("EQUAL", value), ("BETWEEN", [value, value])):
                assert calls(database, {"spanAttributeKey": name, "operator": operator, "value": given}) == []


def test_intervals(database: str) -> None:
    store(database)
    found = points(database, type="timeseries", interval="1 hour")
    assert [(point["startTimestamp"], point["total"]) for point in found] == [
        ("2026-11-20T12:00:00.000Z", 5),
        ("2026-11-20T13:00:00.000Z", 1),
    ]
    assert found[0]["endTimestamp"] == found[1]["startTimestamp"]


def test_filters_and_groups(database: str) -> None:
    store(database)
    failed = {"fieldName": "isFailure", "operator": "EQUAL", "value": True}
    assert points(database, filters=[failed])[0]["total"] == 2
    virtual = {"fieldName": "virtualModelName", "operator": "IS_NULL", "value": True}
    assert points(database, filters=[virtual])[0]["total"] == 6
    project = {"metadataKey": "project", "operator": "IN", "value": ["p_1"]}
    assert points(database, filters=[project], groupBy=["metadata.project"]) == [{"total": 1, "project": "p_1"}]
    users = points(database, groupBy=["userEmail"])
    assert {point["createdBySubjectSlug"] for point in users} >= {"ada@x", "bob@x"}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"datasource": "mcp"}, "datasource"),
        ({"type": "pie"}, "type"),
        ({"startTs": ""}, "startTs"),
        ({"type": "timeseries"}, "interval"),
        ({"type": "timeseries", "interval": "1 second"}, "interval"),
        ({"aggregations": [{"type": "sum", "column": "modelName"}]}, "aggregations[0].type"),
        ({"aggregations": [{"type": "p100", "column": "latencyMs"}]}, "aggregations[0].type"),
        ({"aggregations": [{"type": "sum", "column": "secret"}]}, "aggregations[0].column"),
        ({"groupBy": ["latencyMs"]}, "groupBy[0]"),
        ({"groupBy": [{"name": "modelName"}]}, "groupBy[0]"),
        ({"groupBy": [["modelName"]]}, "groupBy[0]"),
        ({"groupBy": ['metadata.a"b']}, "groupBy[0]"),
        ({"filters": [{"fieldName": ["modelName"], "operator": "EQUAL", "value": 1}]}, "filters[0].fieldName"),
        ({"filters": [{"metadataKey": {"a": 1}, "operator": "EQUAL", "value": "x"}]}, "filters[0]"),
        ({"filters": [{"fieldName": "nothing", "operator": "EQUAL", "value": 1}]}, "filters[0].fieldName"),
    ],
)
def test_a_bad_metric_query_is_named(query: dict[str, Any], param: str) -> None:
    with pytest.raises(BadQuery) as caught:
        query_metrics(UsageRecord.objects.all(), {**DAY, **query}, NOW)
    assert caught.value.param == param
