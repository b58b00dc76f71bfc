"""A strict OTLP receiver over HTTP and gRPC: it decodes what comes with OpenTelemetry's own messages, and says no to
what the protocol does not allow.
"""

import gzip
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


def value_of(value: Any) -> Any:
    """Return an attribute's value as Python has it."""
    kind = value.WhichOneof("value")
    assert kind, "an attribute without a value"
    if kind == "array_value":
        return [value_of(each) for each in value.array_value.values]
    return getattr(value, kind)


def attributes_of(pairs: Any) -> dict[str, Any]:
    """Return attributes as a dict; none may come twice."""
    found = {pair.key: value_of(pair.value) for pair in pairs}
    assert len(found) == len(pairs), "an attribute came twice"
    assert "" not in found
    return found


class ReceivedSpan:
    """A span that was checked against the protocol."""

    def __init__(self, span: Span, resource: dict[str, Any]) -> None:
        assert len(span.trace_id) == 16
        assert any(span.trace_id)
        assert len(span.span_id) == 8
        assert any(span.span_id)
        assert len(span.parent_span_id) in (0, 8)
        assert span.name
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
        self.name = span.name
        self.kind = Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
        self.trace_id, self.span_id = span.trace_id.hex(), span.span_id.hex()
        self.parent_id = span.parent_span_id.hex()
        self.start, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        self.attributes = attributes_of(span.attributes)
        self.failed = span.status.code == Status.STATUS_CODE_ERROR
        self.message = span.status.message
        self.resource = resource


class OtlpReceiver:
    """Receives on a port of its own. ``failing`` is a status that it answers instead, as long as it is set."""

    def __init__(self, protocol: str = "http/protobuf", headers: dict[str, str] | None = None) -> None:
        self.protocol = protocol
        self.headers = headers or {}
        self.spans: list[ReceivedSpan] = []
        self.metrics: list[Any] = []
        self.failing = 0
        self.faults: list[str] = []
        self._stop: Callable[[], object]

    def __enter__(self) -> Self:
        start = self._start_grpc if self.protocol == "grpc" else self._start_http
        self.port = start()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        assert self.faults == []

    @property
    def env(self) -> dict[str, str]:
        """What a gateway needs to send here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol}

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        """Return the spans of a trace, the first to begin first."""
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.start)

    def take_traces(self, request: ExportTraceServiceRequest) -> None:
        """Check and keep spans."""
        for resource in request.resource_spans:
            described = attributes_of(resource.resource.attributes)
            assert described["service.name"]
            for scope in resource.scope_spans:
                assert scope.scope.name
                self.spans += [ReceivedSpan(span, described) for span in scope.spans]

    def take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        """Keep the newest metrics."""
        for resource in request.resource_metrics:
            assert attributes_of(resource.resource.attributes)["service.name"]
            self.metrics = [metric for scope in resource.scope_metrics for metric in scope.metrics]

    def _start_http(self) -> int:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def stop() -> None:
            server.shutdown()
            server.server_close()

        self._stop = stop
        return server.server_port

    def _start_grpc(self) -> int:
        server = grpc.server(ThreadPoolExecutor(4))
        add_TraceServiceServicer_to_server(_Traces(self), server)
        add_MetricsServiceServicer_to_server(_Metrics(self), server)
        port: int = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self._stop = lambda: server.stop(1).wait()
        return port


def _handler(receiver: OtlpReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.headers["content-type"] == "application/x-protobuf"
                for name, value in receiver.headers.items():
                    assert self.headers.get(name) == value, name
                if not receiver.failing and self.path == "/v1/traces":
                    receiver.take_traces(ExportTraceServiceRequest.FromString(body))
                elif not receiver.failing:
                    assert self.path == "/v1/metrics", self.path
                    receiver.take_metrics(ExportMetricsServiceRequest.FromString(body))
                status = receiver.failing or 200
            except Exception as error:  # whatever is wrong is the test's to hear
                receiver.faults.append(repr(error))
                status = 400
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _checked(receiver: OtlpReceiver, take: Callable[[Any], None], request: Any, context: grpc.ServicerContext) -> None:
    if receiver.failing:
        context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
    given = dict(context.invocation_metadata())
    try:
        for name, value in receiver.headers.items():
            assert given.get(name) == value, name
        take(request)
    except Exception as error:  # whatever is wrong is the test's to hear
        receiver.faults.append(repr(error))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, repr(error))


class _Traces(TraceServiceServicer):
    def __init__(self, receiver: OtlpReceiver) -> None:
        self.receiver = receiver

    def Export(self, request: Any, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
        _checked(self.receiver, self.receiver.take_traces, request, context)
        return ExportTraceServiceResponse()


class _Metrics(MetricsServiceServicer):
    def __init__(self, receiver: OtlpReceiver) -> None:
        self.receiver = receiver

    def Export(self, request: Any, context: grpc.ServicerContext) -> ExportMetricsServiceResponse:
        _checked(self.receiver, self.receiver.take_metrics, request, context)
        return ExportMetricsServiceResponse()
