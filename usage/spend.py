"""Spend and traffic over time, by what they are grouped by, from the sums of :mod:`usage.sums_table`.

Nothing here walks the records, but for a span of an hour.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from django.db.models import Q

from usage import sum_query
from usage.models import PICO
from usage.rollups import SPLIT
from usage.sum_query import ALL, Part, Parts, Span, last, narrowed
from usage.sums_table import SUMS

__all__ = [
    "ALL",
    "GROUPS",
    "METADATA",
    "Part",
    "Parts",
    "Row",
    "Span",
    "Table",
    "Totals",
    "last",
    "narrowed",
    "sums_by",
    "table",
    "totals",
]

GROUPS: Final = {
    "model": "model",
    "account": "account",
    "team": "teams",
    "user": "subject_name",
    "application": "subject_name",
    "token": "token",
    "outcome": "outcome",
    "kind": "batch",
}
"""What can be grouped by, and the column that holds it. ``metadata.KEY`` comes on top.

People and applications differ by the kind of caller.
"""
METADATA: Final = "metadata."
KINDS: Final = {"user": "user", "application": "virtualaccount"}
SHOWN_AS: Final = {"outcome": {"": "answered"}, "kind": {"": "calls", "batch": "batch lines"}}
COST: Final = ("cost_high", "cost_low")
SUMMED: Final = {
    "cost_pico": COST,
    "requests": ("requests",),
    "tokens": ("input_tokens", "output_tokens"),
    "errors": ("errors",),
}
"""The sums that a figure is made of."""
OTHER: Final = "Other"
NONE: Final = "(none)"


@dataclass(slots=True)
class Totals:
    """Sums over a span. ``cost_pico`` is in 1e-12 USD and leaves out the ``unpriced`` attempts."""

    requests: int = 0
    attempts: int = 0
    errors: int = 0
    refused: int = 0
    unpriced: int = 0
    partly_priced: int = 0
    estimated: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_pico: int = 0

    def add(self, other: "Totals", sign: int = 1) -> None:
        """Add ``other`` to this, or take it away."""
        for name in NAMES:
            setattr(self, name, getattr(self, name) + sign * getattr(other, name))

    @property
    def cost(self) -> Decimal:
        """The cost in US dollars, exact."""
        return self.cost_pico * PICO

    @property
    def tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens


NAMES: Final = tuple(entry.name for entry in fields(Totals))


@dataclass(slots=True)
class Row:
    """One entry of what is grouped by: its sums, the cost of the span before, and the share of each step."""

    name: str
    totals: Totals = field(default_factory=Totals)
    before: Totals = field(default_factory=Totals)
    steps: dict[datetime, Totals] = field(default_factory=lambda: defaultdict(Totals))


@dataclass(slots=True)
class Table:
    """The largest entries, the rest as one row, and the sums of all, which count once what counts under two teams.

    ``hidden`` entries are in the rest.
    """

    rows: list[Row]
    total: Totals
    before: Totals
    hidden: int = 0


def totals(span: Span, parts: Parts = ALL) -> Totals:
    """Return the sums of a span."""
    found = Totals()
    for part in parts:
        for _, amount in _amounts(span, part, ()):
            found.add(amount)
    return found


def sums_by(span: Span, group: str, parts: Parts = ALL) -> dict[str, Totals]:
    """Return what each model, account, team … comes to. Raises ``KeyError`` for another group."""
    sums: dict[str, Totals] = defaultdict(Totals)
    for name, _, amount in _by_name(span, group, parts):
        sums[name].add(amount)
    return sums


def table(span: Span, group: str, parts: Parts, most: int | None = None, by: str = "cost_pico") -> Table:
    """Return a row for each model, account, team …, or the ``most`` largest ``by`` a figure, with steps of that alone.

    Raises ``KeyError`` for another group. What someone in two teams used counts under each of them.
    """
    sums = sums_by(span, group, parts)
    found = Table([], totals(span, parts), totals(span.before, parts))
    ordered = sorted(sums, key=lambda name: (-getattr(sums[name], by), -sums[name].requests, name))
    if most is not None and len(ordered) > most + 1:
        found.hidden, ordered = len(ordered) - most, ordered[:most]
    rows = {name: Row(name, sums[name]) for name in ordered}
    rest = Row(OTHER)
    # Of some among many only theirs are read, and the rest is what they leave of the whole.
    only = list(rows) if found.hidden and group != "team" else None
    wanted = SUMS if most is None else SUMMED[by]
    for name, step, amount in _by_name(span, group, parts, wanted, only=only, stepped=True):
        rows.get(name, rest).steps[step].add(amount)
    for name, _, amount in _by_name(span.before, group, parts, COST, only=only):
        rows.get(name, rest).before.add(amount)
    if only is not None:
        _add_rest(rest, list(rows.values()), span, _of_group(group, parts), wanted)
    for name in sums.keys() - rows.keys():
        rest.totals.add(sums[name])
    found.rows = [*rows.values(), *([rest] if found.hidden else [])]
    return found


def _add_rest(rest: Row, rows: list[Row], span: Span, parts: Parts, wanted: tuple[str, ...]) -> None:
    for part in parts:
        for step, amount in _stepped(span, part, wanted):
            rest.steps[step].add(amount)
        for _, amount in _amounts(span.before, part, (), COST):
            rest.before.add(amount)
    for row in rows:
        rest.before.add(row.before, -1)
        for step, amount in row.steps.items():
            rest.steps[step].add(amount, -1)


def _of_group(group: str, parts: Parts) -> Parts:
    """Return the parts that a group's entries come to together."""
    if group not in KINDS:
        return parts
    return narrowed(parts, Q(subject_type=KINDS[group]), "subject_type")


def _by_name(
    span: Span,
    group: str,
    parts: Parts,
    sums: tuple[str, ...] = SUMS,
    *,
    only: list[str] | None = None,
    stepped: bool = False,
) -> Iterator[tuple[str, Any, Totals]]:
    """Yield what entries come to, of ``only`` some of them; by the step where it is ``stepped``, which else is
    ``None``."""
    keyed = group.startswith(METADATA)
    column = "meta_value" if keyed else GROUPS[group]
    chosen = sum_query.with_metadata(parts, group.removeprefix(METADATA)) if keyed else _of_group(group, parts)
    if only is not None:
        wanted = narrowed(chosen, Q(**{f"{column}__in": [_value(group, name) for name in only]}), column)
    else:
        wanted = chosen
    for part in wanted:
        for (value, *step), amount in _amounts(span, part, (column,), sums, stepped=stepped):
            for name in _names(value, group):
                yield name, step[0] if step else None, amount
    if keyed and (only is None or NONE in only):
        yield from _without(span, parts, chosen, sums, stepped=stepped)


def _without(
    span: Span, parts: Parts, keyed: Parts, sums: tuple[str, ...], *, stepped: bool
) -> Iterator[tuple[str, Any, Totals]]:
    """Yield what has no value under a key: all but what has one."""
    left: dict[Any, Totals] = defaultdict(Totals)
    for chosen, sign in ((parts, 1), (keyed, -1)):
        for part in chosen:
            for step, amount in _amounts(span, part, (), sums, stepped=stepped):
                left[step[0] if step else None].add(amount, sign)
    for step, amount in left.items():
        if amount != Totals():
            yield NONE, step, amount


def _stepped(span: Span, part: Part, sums: tuple[str, ...]) -> Iterator[tuple[datetime, Totals]]:
    for (step,), amount in _amounts(span, part, (), sums, stepped=True):
        yield step, amount


def _amounts(
    span: Span, part: Part, columns: tuple[str, ...], sums: tuple[str, ...] = SUMS, *, stepped: bool = False
) -> Iterator[tuple[tuple[Any, ...], Totals]]:
    for values in sum_query.sums_of(span, part, columns, sums, stepped=stepped):
        named, amounts = values[: -len(sums)], values[-len(sums) :]
        if stepped:
            named = (*named[:-1], sum_query.step_at(span, named[-1]))
        found = {name: int(amount or 0) for name, amount in zip(sums, amounts, strict=True)}
        cost = found.pop("cost_high", 0) * SPLIT + found.pop("cost_low", 0)
        yield named, Totals(cost_pico=cost, **found)


def _names(value: Any, group: str) -> Iterable[str]:
    if group == "team":
        return dict.fromkeys(value if isinstance(value, list) else msgspec.json.decode(value)) or (NONE,)
    return (SHOWN_AS.get(group, {}).get(value) or value or NONE,)


def _value(group: str, name: str) -> str:
    """Return what the column of a group holds for an entry."""
    shown = {text: value for value, text in SHOWN_AS.get(group, {}).items()}
    return shown.get(name, "" if name == NONE else name)
