"""What a record keeps of the decision about its call, in words."""

from collections.abc import Iterator
from typing import Any, Final

DOLLAR_PICO: Final = 10**12


def decision_lines(decision: dict[str, Any]) -> Iterator[str]:
    """Yield what a record's decision says, in words: one line a limit."""
    for row in decision.get("limits", []):
        money = row["unit"].startswith("cost")
        used, limit, asked = (_amount(row[name], money) for name in ("used", "limit", "asked"))
        entity = f" for {' and '.join(row['for'])}" if row.get("for") else ""
        ending = "refused the call" if row.get("refused") else "exceeded" if row.get("exceeded") else "had room"
        mode = f", {row['mode']}" if row.get("mode") else ""
        what = f"rule {row['rule']} ({row['unit']}{entity}{mode})"
        yield f"{what}: {used} of {limit} with {asked} for this call; {ending}"
    if "reserved_pico" in decision:
        yield f"reserved {_amount(decision['reserved_pico'], True)}"
    for name, said in decision.items():
        if name not in ("limits", "reserved_pico"):
            yield f"{name}: {said}"


def _amount(amount: int, money: bool) -> str:
    return f"${amount / DOLLAR_PICO:,.6f}" if money else f"{amount:,}"
