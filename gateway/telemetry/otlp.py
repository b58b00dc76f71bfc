"""Sending to OpenTelemetry collectors: OTLP over HTTP or gRPC. gRPC and all messages need the extra ``otel``.

Collectors are the operator's own and named in the settings: the egress rules of provider accounts are not theirs.
"""

import gzip
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

logger = logging.getLogger("gateway.telemetry")

TIMEOUT_SECONDS = 10.0
RETRYABLE_STATUSES = frozenset({408, 429, 502, 503, 504})
PATHS = {"traces": "/v1/traces", "metrics": "/v1/metrics"}
METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}


class Unsent(Exception):
    """A collector did not take a request. ``again`` says whether it may take it later."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


@dataclass(frozen=True)
class Destination:
    """A collector's address, and how it is spoken to."""

    endpoint: str
    protocol: str = "http/protobuf"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    compression: str = "none"


class Sender(Protocol):
    """Sends serialized export requests of one signal to one collector."""

    def send(self, payload: bytes) -> None:
        """Send; raise :class:`Unsent` when it was not taken."""

    def close(self) -> None:
        """Close the connections."""


def sender(destination: Destination, signal: str) -> Sender:
    """Return what sends a signal, ``traces`` or ``metrics``, to a collector."""
    kind = GrpcSender if destination.protocol == "grpc" else HttpSender
    return kind(destination, signal)


class HttpSender:
    """OTLP over HTTP, in binary."""

    def __init__(self, destination: Destination, signal: str) -> None:
        self._url = destination.endpoint.rstrip("/") + PATHS[signal]
        self._gzip = destination.compression == "gzip"
        headers = {"content-type": "application/x-protobuf", "user-agent": "Gatehouse", **destination.headers}
        if self._gzip:
            headers["content-encoding"] = "gzip"
        self._client = httpx.Client(headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)

    def send(self, payload: bytes) -> None:
        """Send a request. Raises :class:`Unsent`."""
        try:
            answer = self._client.post(self._url, content=gzip.compress(payload, 1) if self._gzip else payload)
        except httpx.HTTPError as error:
            raise Unsent(type(error).__name__, again=True) from None
        if answer.status_code >= 300:
            again = answer.status_code in RETRYABLE_STATUSES
            raise Unsent(f"it answered {answer.status_code}", again=again)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class GrpcSender:
    """OTLP over gRPC; ``https`` addresses with TLS."""

    def __init__(self, destination: Destination, signal: str) -> None:
        import grpc  # only with the extra ``otel``, and only where it is chosen

        parts = urlsplit(destination.endpoint)
        if parts.scheme == "https":
            self._channel: Any = grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials())
        else:
            self._channel = grpc.insecure_channel(parts.netloc)
        self._compression = grpc.Compression.Gzip if destination.compression == "gzip" else None
        self._metadata = tuple((name.lower(), value) for name, value in destination.headers.items())
        self._again = {
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.ABORTED,
            grpc.StatusCode.CANCELLED,
        }
        self._error = grpc.RpcError
        self._call = self._channel.unary_unary(METHODS[signal])

    def send(self, payload: bytes) -> None:
        """Send a request. Raises :class:`Unsent`."""
        try:
            self._call(payload, timeout=TIMEOUT_SECONDS, metadata=self._metadata, compression=self._compression)
        except self._error as error:
            code = error.code()
            raise Unsent(f"it answered {code.name}", again=code in self._again) from None

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()
