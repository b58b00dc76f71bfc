"""What the sandbox bills, by day, as `POST /sandbox/invoice` sets it, for the reports of both vendors."""

import time
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple
from urllib.parse import parse_qsl

from sandbox.errors import ApiError
from sandbox.state import State
from sandbox.store import params
from sandbox.wire.numbers import whole_number

DAY = 86_400
Group = tuple[str | None, str | None]


class Line(NamedTuple):
    """A line of the bill. `start` is its day's first second; input tokens include cached ones; cost in US dollars."""

    start: int
    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: Decimal
    project: str | None


class Bucket(NamedTuple):
    start: int
    lines: list[Line]


def replace(state: State, body: params.Body) -> int:
    """Bill these `lines` from now on; how many there are."""
    lines = [_line(item, f"lines[{index}]") for index, item in enumerate(params.objects(body, "lines"))]
    state.store("invoice").put("lines", lines)
    return len(lines)


def _line(item: params.Body, where: str) -> Line:
    try:
        day = date.fromisoformat(str(item["day"]))
        return Line(
            int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()),
            str(item["model"]),
            int(item.get("input_tokens", 0)),
            int(item.get("cached_tokens", 0)),
            int(item.get("output_tokens", 0)),
            Decimal(str(item["cost_usd"])),
            item.get("project"),
        )
    except (KeyError, ValueError, TypeError, InvalidOperation):
        raise ApiError(f"{where}: day, model, cost_usd, and numbers of tokens are wanted.", param=where) from None


def query_of(query_string: bytes) -> dict[str, list[str]]:
    """A query's values by name; arrays may have brackets behind their names or not."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
        found.setdefault(name.removesuffix("[]"), []).append(value)
    return found


def page(
    state: State, start: int, end: int, limit: int, cursor: str | None, projects: Iterable[str] = ()
) -> tuple[list[Bucket], str | None]:
    """The days from `start` up to `end` that a page has, empty ones among them, and the next page's cursor."""
    lines: list[Line] = state.store("invoice").get("lines") or []
    wanted = frozenset(projects)
    first = start - start % DAY
    if cursor is not None:
        number = whole_number(cursor.removeprefix("page_"))
        if number is None:
            raise ApiError("Invalid page.", param="page")
        first = number
    days = list(range(first, end, DAY))
    buckets = [
        Bucket(day, [line for line in lines if line.start == day and (not wanted or line.project in wanted)])
        for day in days[:limit]
    ]
    return buckets, f"page_{days[limit]}" if len(days) > limit else None


def grouped(lines: Iterable[Line], by_project: bool, by_model: bool) -> Iterable[tuple[Group, list[Line]]]:
    """Lines by project and model, `None` where they are not grouped by it, in the order of their coming."""
    groups: dict[Group, list[Line]] = {}
    for line in lines:
        key = (line.project if by_project else None, line.model if by_model else None)
        groups.setdefault(key, []).append(line)
    return groups.items()


def iso(start: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start))
