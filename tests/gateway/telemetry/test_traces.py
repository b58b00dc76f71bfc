"""Traces: one for each call, by OpenTelemetry's names and the contract's, at a strict receiver of the real protocol."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.calls import CHAT_PATH, chat
from tests.support.fixtures import ACCOUNT, CHAT, USER, InstallationMaker, seed
from tests.support.installation import Gateway, Installation
from tests.support.otlp_receiver import OtlpReceiver, ReceivedSpan, attributes_of
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
USAGE = "prompt_tokens=100 completion_tokens=20 cached_tokens=30"

Traced = Callable[..., tuple[Gateway, OtlpReceiver, str]]


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, running_upstream: SandboxProcess
) -> Iterator[Traced]:
    """A function that returns a gateway whose spans go to a receiver, the receiver, and a token: the same three for the
    same settings.
    """
    with ExitStack() as stack:

        @cache
        def make(protocol: str = "http/protobuf", **env: str) -> tuple[Gateway, OtlpReceiver, str]:
            receiver = stack.enter_context(OtlpReceiver(protocol))
            data = tmp_path_factory.mktemp("traced") / "data"
            installation = stack.enter_context(Installation(data, migrated_data, {**receiver.env, **env}))
            seed(installation, running_upstream.url)
            gateway = installation.gateway()
            return gateway, receiver, gateway.token("t", user=USER)

        yield make


def trace_of(receiver: OtlpReceiver, response: Any, names: int = 1) -> dict[str, ReceivedSpan]:
    """Return the spans of a call by name, once the call's own is there."""
    root = response.headers["traceparent"].split("-")
    wait_until(lambda: any(span.span_id == root[2] for span in receiver.trace(root[1])))
    found = {span.name: span for span in receiver.trace(root[1])}
    assert len(found) == len(receiver.trace(root[1]))
    return found


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_call_is_a_trace(traced: Traced, upstream: SandboxProcess, protocol: str) -> None:
    gateway, receiver, token = traced(protocol)
    upstream.clear()
    body = chat(f"hi [[sandbox: {USAGE}]]", stream=True, temperature=0.5, max_tokens=50, stop="END")
    headers = {"x-tfy-metadata": '{"project": "search"}'}
    response = gateway.post(token, CHAT_PATH, body, headers=headers)
    spans = trace_of(receiver, response)
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert list(spans) == [
        f"chat {CHAT}",
        "authenticate",
        "describe",
        "policies",
        "chat gpt-4o-mini",
        "stream",
        "settle",
    ]
    root, attempt = spans[f"chat {CHAT}"], spans["chat gpt-4o-mini"]
    assert (root.kind, root.parent_id, root.failed) == ("SERVER", "", False)
    assert root.trace_id == response.headers["x-request-id"].removeprefix("req_")
    assert {spans[name].parent_id for name in ("authenticate", "describe", "policies")} == {root.span_id}
    assert (attempt.kind, attempt.parent_id) == ("CLIENT", root.span_id)
    assert spans["stream"].parent_id == spans["settle"].parent_id == attempt.span_id
    assert all(root.start <= span.start and span.end <= root.end for span in spans.values())
    assert root.resource["service.name"] == "gatehouse"

    said = attempt.attributes
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": record["model_served"],
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.usage.input_tokens": record["input_tokens"],
        "gen_ai.usage.output_tokens": record["output_tokens"],
        "gen_ai.usage.cache_read.input_tokens": 30,
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "tfy.span_type": "Model",
        "tfy.model.fqn": CHAT,
        "tfy.model.name": "gpt-4o-mini",
        "tfy.model.streaming": True,
        "tfy.model.metric.input_tokens": record["input_tokens"],
        "tfy.model.metric.latency_in_ms": pytest.approx(record["latency_us"] / 1000),
        "tfy.model.metric.cost_in_usd": pytest.approx(record["cost_pico"] / 1e12),
        "gatehouse.cost_usd": pytest.approx(record["cost_pico"] / 1e12),
        "gatehouse.provider_account": ACCOUNT,
        "gatehouse.attempt": 1,
    }
    assert {name: said.get(name) for name in expected} == expected
    assert said["gen_ai.response.id"].startswith("chatcmpl-")
    expected = {
        "http.request.method": "POST",
        "http.route": "/chat/completions",
        "http.response.status_code": 200,
        "gen_ai.request.model": CHAT,
        "tfy.span_type": "ChatCompletion",
        "tfy.request.created_by_subject": f"user:{USER}",
        "tfy.request.metadata": '{"project":"search"}',
        "gatehouse.request_id": response.headers["x-request-id"],
    }
    assert {name: root.attributes.get(name) for name in expected} == expected
    assert token not in repr([span.attributes for span in receiver.spans])
    (sent,) = upstream.requests("/v1/chat/completions")
    assert dict(sent["headers"])["traceparent"] == f"00-{root.trace_id}-{attempt.span_id}-01"


def test_a_call_takes_part_in_its_callers_trace(traced: Traced, upstream: SandboxProcess) -> None:
    gateway, receiver, token = traced()
    upstream.clear()
    headers = {"traceparent": PARENT, "tracestate": "vendor=1"}
    response = gateway.post(token, CHAT_PATH, chat(), headers=headers)
    spans = trace_of(receiver, response)
    root, attempt = spans[f"chat {CHAT}"], spans["chat gpt-4o-mini"]
    assert (root.trace_id, root.parent_id) == tuple(PARENT.split("-")[1:3])
    target = json.loads(base64.b64decode(response.headers["x-tfy-feedback-target-id"]))
    assert target == {"spanId": root.span_id, "traceId": root.trace_id}
    sent = dict(upstream.requests("/v1/chat/completions")[0]["headers"])
    assert sent["traceparent"] == f"00-{root.trace_id}-{attempt.span_id}-01"
    assert sent["tracestate"] == "vendor=1"
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert record["trace_id"] == root.trace_id


def test_what_is_charged_later_is_below_its_call(traced: Traced) -> None:
    gateway, receiver, token = traced()
    body = {"model": CHAT, "input": "hi [[sandbox: queued=1]]", "background": True}
    alone, joined = (
        gateway.post(token, "/v1/responses", body, headers=headers) for headers in ({}, {"traceparent": PARENT})
    )
    for response, trace_id in ((alone, alone.headers["x-request-id"].removeprefix("req_")), (joined, PARENT[3:35])):
        request_id = response.headers["x-request-id"]
        (record,) = gateway.installation.records(1, 30, request_id=request_id, operation__exact="background_response")
        assert record["trace_id"] == ("" if response is alone else trace_id)
        span_id = str(record["id"]).replace("-", "")[-16:]
        wait_until(lambda: any(span.span_id == span_id for span in receiver.spans))  # noqa: B023 - called at once
        (found,) = [span for span in receiver.spans if span.span_id == span_id]
        assert (found.trace_id, found.parent_id) == (trace_id, request_id[-16:])


@pytest.mark.parametrize(
    "header",
    [
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "nonsense",
    ],
)
def test_a_trace_that_is_not_valid_is_not_joined(traced: Traced, header: str) -> None:
    gateway, receiver, token = traced()
    response = gateway.post(token, CHAT_PATH, chat(), headers={"traceparent": header})
    (root, *_) = trace_of(receiver, response).values()
    assert root.trace_id == response.headers["x-request-id"].removeprefix("req_")
    assert root.parent_id == ""


def test_retries_are_attempts_of_one_trace(traced: Traced) -> None:
    gateway, receiver, token = traced()
    headers = {"x-tfy-retry-config": '{"attempts": 1, "onStatusCodes": [503]}'}
    body = chat("hi [[sandbox: status=503 message=too_busy]]")
    response = gateway.post(token, CHAT_PATH, body, headers=headers)
    assert response.status_code == 503
    _, trace_id, root_id, _ = response.headers["traceparent"].split("-")
    wait_until(lambda: any(span.span_id == root_id for span in receiver.spans))
    attempts = [span for span in receiver.trace(trace_id) if span.kind == "CLIENT"]
    assert [span.attributes["gatehouse.attempt"] for span in attempts] == [1, 2]
    assert all(span.failed and span.message == "too busy" for span in attempts)
    assert {span.attributes["error.type"] for span in attempts} == {"upstream_error"}
    (root,) = [span for span in receiver.trace(trace_id) if span.span_id == root_id]
    assert root.failed
    assert root.attributes["gatehouse.attempts"] == 2


def test_a_refused_call_is_a_trace_that_failed(traced: Traced) -> None:
    gateway, receiver, token = traced()
    response = gateway.post(token, CHAT_PATH, chat() | {"model": "openai-main/unknown"})
    spans = trace_of(receiver, response)
    root = next(iter(spans.values()))
    assert root.failed
    assert root.attributes["error.type"] == "model_not_found"
    assert not [span for span in spans.values() if span.kind == "CLIENT"]


def test_sampling_keeps_failures_and_slow_calls(traced: Traced) -> None:
    gateway, receiver, token = traced(OTEL_TRACES_SAMPLER_ARG="0", GATEHOUSE_TRACE_SLOW_MS="400")
    quick = gateway.post(token, CHAT_PATH, chat())
    failed = gateway.post(token, CHAT_PATH, chat("hi [[sandbox: status=500]]"))
    slow = gateway.post(token, CHAT_PATH, chat("hi [[sandbox: latency=500]]"))
    asked = gateway.post(token, CHAT_PATH, chat(), headers={"traceparent": PARENT})
    unasked = gateway.post(token, CHAT_PATH, chat(), headers={"traceparent": PARENT[:-1] + "0"})
    for response in (failed, slow, asked):
        trace_of(receiver, response)
    roots = {span.span_id for span in receiver.spans if span.kind == "SERVER"}
    assert roots == {response.headers["traceparent"].split("-")[2] for response in (failed, slow, asked)}
    assert quick.headers["traceparent"].endswith("-00")
    assert unasked.headers["traceparent"].endswith("-00")
    assert asked.headers["traceparent"].endswith("-01")


def test_names_are_chosen(traced: Traced) -> None:
    env = {
        "GATEHOUSE_TRACE_NAMES": "gen_ai",
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http,gen_ai_latest_experimental",
        "OTEL_SERVICE_NAME": "gateway-eu",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=pro%20d,team=ml",
    }
    gateway, receiver, token = traced(**env)
    response = gateway.post(token, CHAT_PATH, chat(f"hi [[sandbox: {USAGE} reasoning_tokens=5]]", stream=True))
    spans = trace_of(receiver, response)
    said = spans["chat gpt-4o-mini"].attributes
    assert said["gen_ai.usage.reasoning.output_tokens"] == 5
    assert said["gen_ai.request.stream"] is True
    assert said["gen_ai.response.time_to_first_chunk"] > 0
    assert "gen_ai.system" not in said
    everything = {name for span in spans.values() for name in span.attributes}
    assert not [name for name in everything if name.startswith(("tfy.", "gatehouse."))]
    resource = receiver.spans[0].resource
    assert resource["service.name"] == "gateway-eu"
    assert resource["deployment.environment.name"] == "pro d"


def test_a_collector_that_is_away_costs_no_call_and_gets_the_spans_later(traced: Traced) -> None:
    gateway, receiver, token = traced()
    receiver.failing = 503
    responses = [gateway.post(token, CHAT_PATH, chat()) for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 200]
    wait_until(lambda: "does not take spans" in gateway.log)
    receiver.failing = 0
    for response in responses:
        trace_of(receiver, response)
    assert gateway.log.count("does not take spans") == 1


def test_headers_and_compression(make_installation: InstallationMaker) -> None:
    with OtlpReceiver(headers={"x-api-key": "a b", "content-encoding": "gzip"}) as receiver:
        more = {"OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=a%20b", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
        gateway = make_installation(env={**receiver.env, **more}).gateway()
        token = gateway.token("t", user=USER)
        trace_of(receiver, gateway.post(token, CHAT_PATH, chat()))


def test_spans_leave_before_the_process_ends(traced: Traced) -> None:
    gateway, receiver, token = traced(OTEL_SERVICE_NAME="ends")
    response = gateway.post(token, CHAT_PATH, chat())
    gateway.stop()
    assert receiver.trace(response.headers["traceparent"].split("-")[1])


def test_metrics_by_otlp(traced: Traced) -> None:
    env = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
    gateway, receiver, token = traced("grpc", **env)
    for _ in range(3):
        gateway.post(token, CHAT_PATH, chat(f"hi [[sandbox: {USAGE}]]"))

    def points(name: str) -> Any:
        found = [metric for metric in receiver.metrics if metric.name == name]
        return (found[0].histogram.data_points or found[0].sum.data_points) if found else []

    wait_until(lambda: sum(point.count for point in points("gen_ai.client.operation.duration")) == 3)
    (point,) = points("gen_ai.client.operation.duration")
    assert attributes_of(point.attributes) == {
        "gen_ai.request.model": CHAT,
        "gen_ai.provider.name": "openai",
        "gen_ai.operation.name": "chat",
        "gatehouse.provider_account": ACCOUNT,
    }
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert sum(point.bucket_counts) == 3
    assert point.explicit_bounds[0] == 0.01
    usage = {
        attributes_of(each.attributes)["gen_ai.token.type"]: each.sum for each in points("gen_ai.client.token.usage")
    }
    assert usage == {"input": 300, "output": 60}
    (cost,) = points("ai_gateway_request_cost_total")
    rows = gateway.installation.records(3)
    assert cost.as_double == pytest.approx(sum(row["cost_pico"] for row in rows) / 1e12)


def test_off_by_default(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    response = gateway.post(token, CHAT_PATH, chat(), headers={"traceparent": PARENT})
    assert response.headers["traceparent"] == PARENT
    assert dict(upstream.requests("/v1/chat/completions")[-1]["headers"])["traceparent"] == PARENT
    target = json.loads(base64.b64decode(response.headers["x-tfy-feedback-target-id"]))
    assert target["traceId"] == PARENT.split("-")[1]
    assert re.fullmatch("[0-9a-f]{16}", target["spanId"])
