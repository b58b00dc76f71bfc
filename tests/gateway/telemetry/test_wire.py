"""Spans as bytes: shortcuts say the same as the long way, and what is remembered is bounded."""

from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from gateway.telemetry import wire
from gateway.telemetry.wire import INTERNAL, Attributes, Part, span

TRACE, OWN, PARENT = bytes(range(16)), bytes(range(8)), bytes(range(8, 16))
PAIRS = (("model", "m"), ("model", "own.m"), ("tokens", "t"), ("id", "i"), ("teams", "g"))


@pytest.mark.parametrize("times", [(5, 9), (9, 5), (1_800_000_000_000_000_000, 1_800_000_000_000_000_001)])
@pytest.mark.parametrize("name", ["settle", "a" * 300])
def test_a_part_is_a_span(name: str, times: tuple[int, int]) -> None:
    written = Part(name).write(TRACE, OWN, PARENT, *times)
    assert written == span(TRACE, OWN, PARENT, name, times, INTERNAL)


def read(attributes: bytes) -> dict[str, Any]:
    scope = ScopeSpans.FromString(span(TRACE, OWN, PARENT, "s", (1, 2), INTERNAL, attributes))
    (found,) = scope.spans
    assert isinstance(found, Span)
    return {
        pair.key: pair.value.int_value or pair.value.string_value or len(pair.value.array_value.values)
        for pair in found.attributes
    }


def test_steady_facts_come_with_the_others() -> None:
    attributes = Attributes(PAIRS, unique={"id"}, steady={"model", "teams"})
    for number in (1, 2):
        for model in ("a", "b"):
            values = {"model": model, "tokens": number, "id": f"{number}{model}", "teams": ("x", "y")}
            expected = {"m": model, "own.m": model, "t": number, "i": f"{number}{model}", "g": 2}
            assert read(attributes.write(values)) == expected
    assert read(attributes.write({"model": "", "teams": (), "tokens": 7})) == {"t": 7}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "GROUPS", 10)
    attributes = Attributes(PAIRS, steady={"model"})
    for number in range(100):
        assert read(attributes.write({"model": f"m{number}"}))["m"] == f"m{number}"
        span(TRACE, OWN, PARENT, f"chat {number}", (1, 2), INTERNAL)
    assert len(attributes._groups) <= 10
    assert len(wire._named) <= 10
