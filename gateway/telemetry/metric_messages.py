"""Metrics as OTLP's messages. Needs the extra ``otel``: :mod:`gateway.telemetry.push` imports it when it sends."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from gateway.telemetry.families import FAMILIES, GAUGES, HISTOGRAM, Family
from gateway.telemetry.series import Counts, Key
from gateway.telemetry.shared import Gauges


def request(counts: Counts, gauges: Gauges, groups: Sequence[str], resource: Mapping[str, str], began: int) -> bytes:
    """Return a request with all that was counted since ``began``, in unix nanoseconds. ``groups`` are the families
    that are wanted, ``resource`` says what they come from.
    """
    metrics = list(_metrics(counts, gauges, groups, began, time.time_ns()))
    scope = pb.ScopeMetrics(scope=InstrumentationScope(name="gatehouse"), metrics=metrics)
    source = Resource(attributes=[_attribute(*pair) for pair in resource.items()])
    whole = ExportMetricsServiceRequest(resource_metrics=[pb.ResourceMetrics(resource=source, scope_metrics=[scope])])
    return bytes(whole.SerializeToString())


def _metrics(counts: Counts, gauges: Gauges, groups: Sequence[str], began: int, now: int) -> Iterator[Any]:
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
    return _attributes([*family.labelled(key), *extra.items()])


def _attributes(pairs: Any) -> list[Any]:
    return [_attribute(name, value) for name, value in pairs if value]


def _attribute(name: str, value: str) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(string_value=value))


def _sums(family: Family, key: Key, row: list[int], began: int, now: int) -> Iterator[Any]:
    if family.only_errors and not dict(zip(family.table.labels, key, strict=True)).get("error"):
        return
    for column, extra in family.columns.items():
        yield pb.NumberDataPoint(
            attributes=_labels(family, key, extra),
            start_time_unix_nano=began,
            time_unix_nano=now,
            as_double=row[family.table.places[column]] * family.scale,
        )


def _histograms(family: Family, key: Key, row: list[int], began: int, now: int) -> Iterator[Any]:
    for column, extra in family.columns.items():
        histogram = next(each for each in family.table.histograms if each.name == column)
        place, size = family.table.places[column], len(histogram.bounds)
        buckets = row[place : place + size + 1]
        if any(buckets):
            yield pb.HistogramDataPoint(
                attributes=_labels(family, key, extra),
                start_time_unix_nano=began,
                time_unix_nano=now,
                count=sum(buckets),
                sum=row[place + size + 1] * family.scale,
                bucket_counts=buckets,
                explicit_bounds=[bound * family.scale for bound in histogram.bounds],
            )
