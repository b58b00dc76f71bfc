"""A routing in words, for commands: what it is over, and behind virtual models what they are over."""

from collections.abc import Iterable, Iterator

from providers.routing import shape
from providers.routing.compiled import RoutedTarget, Routing

INDENT = "  "


def routing_lines(whose: str, routing: Routing, share: float = 1.0, indent: str = "") -> Iterator[str]:
    """Yield a line of what the routing is over, and one for each virtual model behind it. ``share`` is that of the
    calls which are drawn for it, where all on the way are drawn by weight."""
    shares = _shares(routing, share)
    named = (_named(target, of_all) for target, of_all in zip(routing.targets, shares, strict=True))
    said = f"{indent}{whose}: {routing.type} over {', '.join(named)}"
    if routing.mirror is not None and not indent:
        said += f"; copies of {routing.mirror_percent:g}% of the calls go to {routing.mirror.name}"
    if routing.hedge is not None and not indent:
        said += f"; a second request goes out where the first is slower than {routing.hedge:.1%} of its answers"
    yield said
    yield from inner_lines(routing.targets, shares, indent)


def inner_lines(targets: Iterable[RoutedTarget], shares: Iterable[float] = (), indent: str = "") -> Iterator[str]:
    """Yield what is behind those of the targets that are virtual models."""
    shares = list(shares)
    for number, target in enumerate(targets):
        if target.inner is not None:
            share = shares[number] if shares else 0.0
            yield from routing_lines(target.name, target.inner, share, indent + INDENT)


def _shares(routing: Routing, share: float) -> list[float]:
    """Return which part of the calls is drawn for each target; 0 where that is not drawn by weight."""
    if routing.type != shape.WEIGHT:
        return [0.0] * len(routing.targets)
    whole = sum(target.weight for target in routing.targets)
    return [share * target.weight / whole if whole else 0.0 for target in routing.targets]


def _named(target: RoutedTarget, share: float) -> str:
    said = f"{target.name} ({share * 100:.3g}%)" if share else target.name
    return f"{said} ({target.fault})" if target.fault else said
