"""What a record keeps of the decision about its call, in words."""

from collections.abc import Iterable, Iterator
from typing import Any

from usage.words import money_of_pico

VIA = "via"
"""The entry with the virtual models that led to an attempt's target; empty after one that others led to."""
ARROW = " -> "


def way_of(decision: dict[str, Any]) -> tuple[str, ...]:
    """Return the virtual models that led to an attempt's target from what its call asked for."""
    said = decision.get(VIA)
    return tuple(said.split(ARROW)) if said else ()


def way_said(via: Iterable[str]) -> str:
    """Return virtual models as a decision has them."""
    return ARROW.join(via)


def decision_lines(decision: dict[str, Any]) -> Iterator[str]:
    """Yield what a record's decision says, in words: one line a limit."""
    for row in limit_rows(decision):
        mode = f", {row['mode']}" if row["mode"] else ""
        entity = f" for {row['entity']}" if row["entity"] else ""
        what = f"rule {row['rule']} ({row['unit']}{entity}{mode})"
        yield f"{what}: {row['used']} of {row['limit']} with {row['asked']} for this call; {row['ending']}"
    yield from other_lines(decision)


def limit_rows(decision: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield what each limit and budget said of the call, as text.

    ``rule``, ``unit``, ``entity`` (whom it counts apart; empty: all together), ``mode`` (empty: it enforces), ``used``,
    ``limit``, ``asked`` and ``ending``: ``had room``, ``exceeded`` or ``refused the call``.
    """
    for row in decision.get("limits", []):
        money = row["unit"].startswith("cost")
        ending = "refused the call" if row.get("refused") else "exceeded" if row.get("exceeded") else "had room"
        yield {
            "rule": row["rule"],
            "unit": row["unit"],
            "entity": " and ".join(row.get("for", ())),
            "mode": row.get("mode", ""),
            **{name: _amount(row[name], money) for name in ("used", "limit", "asked")},
            "ending": ending,
        }


def other_lines(decision: dict[str, Any]) -> Iterator[str]:
    """Yield what a decision says beside limits: what was reserved, and what else was decided."""
    if "reserved_pico" in decision:
        yield f"reserved {money_of_pico(decision['reserved_pico'])}"
    for name, said in decision.items():
        if name not in ("limits", "reserved_pico", VIA):
            yield f"{name}: {'; '.join(map(str, said)) if isinstance(said, list) else said}"


def _amount(amount: int, money: bool) -> str:
    return money_of_pico(amount) if money else f"{amount:,}"
