"""Prometheus' text format (0.0.4) of what was counted."""

from collections.abc import Iterable, Iterator

from gateway.telemetry.families import FAMILIES, GAUGES, HISTOGRAM, Family
from gateway.telemetry.series import Counts, Histogram, Key
from gateway.telemetry.shared import Gauges

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNITS = {"s": "_seconds"}


def render(counts: Counts, gauges: Gauges, groups: Iterable[str]) -> bytes:
    """Return the metrics of the name ``groups`` that were chosen, and all gauges."""
    chosen = set(groups)
    lines: list[str] = []
    for family in FAMILIES:
        if family.group in chosen and (rows := counts.tables.get(family.table.name)):
            lines += _head(prometheus_name(family), family.help, family.kind)
            for key, row in rows.items():
                lines += _samples(family, key, row)
    for gauge in GAUGES:
        if values := gauges.get(gauge.name):
            lines += _head(gauge.name, gauge.help, "counter" if gauge.name.endswith("_total") else "gauge")
            for key, value in values.items():
                lines.append(f"{gauge.name}{_labels(zip(gauge.labels, key, strict=True))} {_number(value)}")
    return ("\n".join(lines) + "\n").encode()


def prometheus_name(family: Family) -> str:
    """Return a family's name as Prometheus writes it."""
    return family.name.replace(".", "_") + UNITS.get(family.unit, "")


def _head(name: str, text: str, kind: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _samples(family: Family, key: Key, row: list[int]) -> Iterator[str]:
    given = dict(zip(family.table.labels, key, strict=True))
    if family.only_errors and not given.get("error"):
        return
    name = prometheus_name(family)
    labels = [(_label(label), value) for label, value in family.labelled(key)]
    for column, extra in family.columns.items():
        own = [*labels, *((label.replace(".", "_"), value) for label, value in extra.items())]
        place = family.table.places[column]
        if family.kind == HISTOGRAM:
            yield from _histogram(name, own, _histogram_of(family, column), row, place, family.scale)
        else:
            yield f"{name}{_labels(own)} {_number(row[place] * family.scale)}"


def _histogram(
    name: str, labels: list[tuple[str, str]], histogram: Histogram, row: list[int], place: int, scale: float
) -> Iterator[str]:
    size = len(histogram.bounds)
    total = sum(row[place : place + size + 1])
    if not total:
        return
    inside, count = _labels(labels)[1:-1], 0
    for bound, more in zip(histogram.bounds, row[place : place + size], strict=True):
        count += more
        yield f'{name}_bucket{{{inside},le="{_number(bound * scale)}"}} {count}'
    yield f'{name}_bucket{{{inside},le="+Inf"}} {total}'
    yield f"{name}_sum{{{inside}}} {_number(row[place + size + 1] * scale)}"
    yield f"{name}_count{{{inside}}} {total}"


def _histogram_of(family: Family, column: str) -> Histogram:
    return next(each for each in family.table.histograms if each.name == column)


def _label(name: str) -> str:
    return "".join(each if each.isalnum() and each.isascii() else "_" for each in name)


def _labels(pairs: Iterable[tuple[str, str]]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.12g}"
