"""Durations, sizes and money as people read them."""

from decimal import Decimal

from accounts.words import counted

CENT = Decimal("0.01")


def money(amount: Decimal | None) -> str:
    """Return an exact amount in US dollars, at least two decimals, no exponent: ``$0.000135``, ``-$0.80`` for a
    correction.

    ``None`` is ``unpriced``.
    """
    if amount is None:
        return "unpriced"
    whole, _, rest = f"{abs(amount):f}".partition(".")
    return f"{'-' if amount < 0 else ''}${int(whole):,}.{rest.rstrip('0').ljust(2, '0')}"


def money_of_pico(pico: int) -> str:
    """Return an amount in pico-dollars as :func:`money` does."""
    return money(Decimal(pico).scaleb(-12))


def amount(number: int, *, is_money: bool) -> str:
    """Return what a budget counts: pico-dollars as money, else tokens."""
    return money_of_pico(number) if is_money else counted(number, "token")


def short_money(amount: Decimal | None) -> str:
    """Return an amount as people read it: two decimals; below a cent two digits (``$0.00014``); ``unpriced`` for
    ``None``.
    """
    if amount is None:
        return "unpriced"
    if amount and abs(amount) < CENT:
        return f"${amount.quantize(Decimal(1).scaleb(amount.adjusted() - 1)):f}"
    return f"${amount.quantize(CENT):,}"


def duration(micros: int | None) -> str:
    """Return a duration given in microseconds: ``830 µs``, ``12.4 ms``, ``3.07 s``; a dash for ``None``."""
    if micros is None:
        return "–"
    if micros < 1000:
        return f"{micros} µs"
    if micros < 1_000_000:
        return f"{micros / 1000:.3g} ms" if micros < 100_000 else f"{micros / 1000:.0f} ms"
    return f"{micros / 1_000_000:,.2f} s"


def size(count: int) -> str:
    """Return a number of bytes: ``812 B``, ``3.1 KB``, ``2.0 MB``."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:,.1f} KB" if count < 1_000_000 else f"{count / 1_000_000:,.1f} MB"
