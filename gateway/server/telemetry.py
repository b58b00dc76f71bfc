"""What of a server process others may see: its meter, its tracer and its request log, as the settings say."""

import os
import socket
import threading
from importlib.util import find_spec
from urllib.parse import unquote

from django.conf import settings

from gateway.server import body_log
from gateway.server.gauges import read_gauges
from gateway.telemetry import meter, tracer
from gateway.telemetry.exporter import Exporter
from gateway.telemetry.meter import Meter
from gateway.telemetry.otlp import Destination
from gateway.telemetry.push import Pusher
from gateway.telemetry.tracer import Tracer
from usage import request_log

_starting = threading.Lock()
_users = 0
NEEDED = {"http/protobuf": ("opentelemetry.proto",), "grpc": ("opentelemetry.proto", "grpc")}
PACKAGES = "pip install 'opentelemetry-proto>=1.40', and 'grpcio>=1.60' for gRPC"


def start() -> None:
    """Begin to count and to trace what the settings ask for: nothing by default.

    A worker that runs calls starts it twice, for its tasks and for them; it ends with the last :func:`stop`.
    """
    global _users
    with _starting:
        _users += 1
        if _users == 1:
            _start()


def stop() -> None:
    """Send what is there, within some seconds, and end."""
    global _users
    with _starting:
        _users -= 1
        if _users == 0:
            _stop()


def _start() -> None:
    meter.meter = _make_meter()
    tracer.tracer = _make_tracer()
    request_log.log = body_log.make()
    for each in (meter.meter, tracer.tracer, request_log.log):
        if each is not None:
            each.start()


def _stop() -> None:
    for each in (request_log.log, tracer.tracer, meter.meter):
        if each is not None:
            each.stop()
    meter.meter = tracer.tracer = request_log.log = None


def faults() -> list[str]:
    """Return why telemetry can't start as the settings say."""
    try:
        missing = [name for name in NEEDED[settings.OTLP_PROTOCOL] if find_spec(name) is None]
    except ModuleNotFoundError as error:  # not even the package above it is there
        missing = [error.name or "opentelemetry"]
    if settings.OTLP_ENDPOINTS and missing:
        return [
            f"OTEL_EXPORTER_OTLP_ENDPOINT: is set, and the module {missing[0]} is not installed. Install it: "
            f"{PACKAGES}."
        ]
    return []


def _make_meter() -> Meter | None:
    exporter, pusher = None, None
    if settings.METRICS_PORT:
        exporter = Exporter(
            settings.METRICS_HOST, settings.METRICS_PORT, settings.METRICS_TOKEN, settings.METRICS_NAMES
        )
    if settings.OTLP_ENDPOINTS and settings.OTEL_METRICS_EXPORTER == "otlp":
        pusher = Pusher(_destinations(), _resource(), settings.METRICS_NAMES, settings.OTEL_METRIC_EXPORT_MS / 1000)
    if exporter is None and pusher is None:
        return None
    return Meter(settings.DATA_DIR / "metrics", settings.METRICS_MAX_ROWS, read_gauges, exporter, pusher)


def _make_tracer() -> Tracer | None:
    if not settings.OTLP_ENDPOINTS or settings.OTEL_TRACES_EXPORTER != "otlp":
        return None
    return Tracer(
        _destinations(),
        _resource(),
        ratio=settings.OTEL_TRACES_RATIO,
        slow_ns=int(settings.TRACE_SLOW_MS * 1_000_000),
        vocabularies=settings.TRACE_NAMES,
        opt_in=settings.OTEL_SEMCONV_OPT_IN,
    )


def _destinations() -> list[Destination]:
    headers = dict(_pairs(settings.OTLP_HEADERS))
    return [
        Destination(endpoint, settings.OTLP_PROTOCOL, headers, settings.OTLP_COMPRESSION)
        for endpoint in settings.OTLP_ENDPOINTS
    ]


def _resource() -> dict[str, str]:
    """Return what this process is, as OpenTelemetry describes it."""
    return {
        "service.name": settings.OTEL_SERVICE_NAME,
        "service.version": settings.SPECTACULAR_SETTINGS["VERSION"],
        "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        "telemetry.sdk.name": "gatehouse",
        "telemetry.sdk.language": "python",
        **dict(_pairs(settings.OTEL_RESOURCE_ATTRIBUTES)),
    }


def _pairs(listed: list[str]) -> list[tuple[str, str]]:
    """Return ``name=value`` entries as pairs; values may be percent-encoded, as the standard says."""
    parts = [entry.partition("=") for entry in listed]
    return [(name.strip(), unquote(value.strip())) for name, _, value in parts]
