"""Metrics by OTLP: every process sends what it counted since its start, by the same names as Prometheus gets it."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.telemetry.families import FAMILIES, GAUGES, HISTOGRAM, Family
from gateway.telemetry.otlp import Destination, Unsent, resource_message, sender
from gateway.telemetry.series import Counts, Key
from gateway.telemetry.shared import Gauges

logger = logging.getLogger("gateway.telemetry")


class Pusher:
    """Sends this process's metrics to collectors every ``seconds``. What a collector misses, the next one brings."""

    def __init__(
        self, destinations: Sequence[Destination], resource: Mapping[str, str], groups: Sequence[str], seconds: float
    ) -> None:
        self._senders = [(each.endpoint, sender(each, "metrics")) for each in destinations]
        self._resource = resource
        self._groups = groups
        self._seconds = seconds
        self._due = time.monotonic() + seconds
        self._started_ns = time.time_ns()
        self._failed: set[str] = set()

    def push(self, counts: Counts, gauges: Gauges, *, last: bool = False) -> None:
        """Send when it is time, or for the ``last`` time."""
        if not last and time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._seconds
        payload = self._request(counts, gauges)
        for endpoint, each in self._senders:
            try:
                each.send(payload)
            except Unsent as error:
                if endpoint not in self._failed:
                    logger.warning("The collector at %s does not take metrics: %s.", endpoint, error)
                self._failed.add(endpoint)
            else:
                self._failed.discard(endpoint)
            if last:
                each.close()

    def _request(self, counts: Counts, gauges: Gauges) -> bytes:
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
        from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
        from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics, ScopeMetrics

        metrics = list(_metrics(counts, gauges, self._groups, self._started_ns, time.time_ns()))
        scope = ScopeMetrics(scope=InstrumentationScope(name="gatehouse"), metrics=metrics)
        whole = ExportMetricsServiceRequest(
            resource_metrics=[ResourceMetrics(resource=resource_message(self._resource), scope_metrics=[scope])]
        )
        return bytes(whole.SerializeToString())


def _metrics(counts: Counts, gauges: Gauges, groups: Sequence[str], began: int, now: int) -> Iterator[Any]:
    from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

    cumulative = pb.AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    for family in FAMILIES:
        rows = counts.tables.get(family.table.name)
        if not rows or family.group not in groups:
            continue
        metric = pb.Metric(name=family.name, description=family.help, unit=family.unit)
        if family.kind == HISTOGRAM:
            points = [each for key, row in rows.items() for each in _histograms(family, key, row, began, now)]
            metric.histogram.CopyFrom(pb.Histogram(data_points=points, aggregation_temporality=cumulative))
        else:
            points = [each for key, row in rows.items() for each in _sums(family, key, row, began, now)]
            metric.sum.CopyFrom(pb.Sum(data_points=points, aggregation_temporality=cumulative, is_monotonic=True))
        if points:
            yield metric
    for gauge in GAUGES:
        values = gauges.get(gauge.name)
        if values:
            points = [
                pb.NumberDataPoint(
                    attributes=_attributes(zip(gauge.labels, key, strict=True)),
                    time_unix_nano=now,
                    as_double=value,
                )
                for key, value in values.items()
            ]
            yield pb.Metric(name=gauge.name, description=gauge.help, gauge=pb.Gauge(data_points=points))


def _labels(family: Family, key: Key, extra: Mapping[str, str]) -> Any:
    given = zip(family.table.labels, key, strict=True)
    return _attributes([*((family.labels.get(name, name), value) for name, value in given), *extra.items()])


def _attributes(pairs: Any) -> list[Any]:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

    return [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in pairs if value]


def _sums(family: Family, key: Key, row: list[int], began: int, now: int) -> Iterator[Any]:
    from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

    if family.only_errors and not dict(zip(family.table.labels, key, strict=True)).get("error"):
        return
    for column, extra in family.columns.items():
        yield NumberDataPoint(
            attributes=_labels(family, key, extra),
            start_time_unix_nano=began,
            time_unix_nano=now,
            as_double=row[family.table.places[column]] * family.scale,
        )


def _histograms(family: Family, key: Key, row: list[int], began: int, now: int) -> Iterator[Any]:
    from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint

    for column, extra in family.columns.items():
        histogram = next(each for each in family.table.histograms if each.name == column)
        place, size = family.table.places[column], len(histogram.bounds)
        buckets = row[place : place + size + 1]
        if any(buckets):
            yield HistogramDataPoint(
                attributes=_labels(family, key, extra),
                start_time_unix_nano=began,
                time_unix_nano=now,
                count=sum(buckets),
                sum=row[place + size + 1] * family.scale,
                bucket_counts=buckets,
                explicit_bounds=[bound * family.scale for bound in histogram.bounds],
            )
