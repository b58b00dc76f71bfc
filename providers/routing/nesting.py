"""Virtual models as targets of virtual models: resolved once, when the snapshot is made, so that a call finds all that
it may go to in one list.

To the outer model an inner one is one target: it is drawn by its own weight, priority, tier, and by the speed, load or
price of the target that it would ask first; then all of its targets follow in its own order. What an outer target says
of parameters, headers, retries, status codes and bounds holds for everything behind it, over what the inner one says;
metadata must match on every level.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from providers.routing.compiled import RoutedTarget, Routing

MOST_DEPTH: Final = 5
"""So many virtual models may be on the way to a target, the one that is called included."""
MOST_LEAVES: Final = 200
"""So many targets a virtual model may have in all."""


@dataclass(frozen=True, slots=True)
class Inner:
    """A virtual model that a target names: its present name, whether it and its account are enabled, and what it is
    for."""

    name: str
    enabled: bool
    model_types: frozenset[str]
    routing: Routing


Find = Callable[[RoutedTarget], Inner | None]
"""What a target names, where that is a virtual model."""


def nested(routing: Routing, find: Find, name: str = "") -> Routing:
    """Return ``routing``, which belongs to the virtual model ``name`` (empty: to a rule), with its virtual targets
    resolved. One that was resolved before is resolved anew."""
    if not any(find(target) is not None for target in routing.targets):
        return flat(routing)
    return _resolved(routing, find, (name,) if name else (), None, itertools.count())


def flat(routing: Routing) -> Routing:
    """Return ``routing`` as it is without virtual targets."""
    if routing.leaves is routing.targets:
        return routing
    targets = tuple(replace(target, inner=None, fault="", place=n) for n, target in enumerate(routing.targets))
    return replace(routing, targets=targets, leaves=targets)


def nested_target(target: RoutedTarget, find: Find) -> RoutedTarget:
    """Return a single target, resolved where it is a virtual model."""
    if find(target) is None:
        return replace(target, inner=None, fault="") if target.inner is not None or target.fault else target
    alone = Routing("", (target,), (target,))
    return _resolved(alone, find, (), None, itertools.count()).targets[0]


def _resolved(
    routing: Routing, find: Find, way: tuple[str, ...], outer: RoutedTarget | None, places: "itertools.count[int]"
) -> Routing:
    targets = tuple(_entries(routing, find, way, outer, places))
    return replace(routing, targets=targets, leaves=tuple(_leaves(targets)))


def _entries(
    routing: Routing, find: Find, way: tuple[str, ...], outer: RoutedTarget | None, places: "itertools.count[int]"
) -> Iterator[RoutedTarget]:
    for target in routing.targets:
        found, joined = find(target), composed(outer, target)
        fault = _way_fault(way, found) if found is not None else ""
        if found is None or fault:
            place = next(places)
            if place > MOST_LEAVES:
                return
            fault = f"is one more than the {MOST_LEAVES} targets in all" if place == MOST_LEAVES else fault
            yield replace(joined, inner=None, place=place, fault=fault or joined.fault)
        else:
            fault = joined.fault or ("" if found.enabled else f"is reached through {found.name}, which is disabled")
            types = found.model_types if joined.model_types is None else joined.model_types & found.model_types
            passed = replace(joined, fault=fault, model_types=types, via=(*joined.via, found.name))
            yield replace(joined, inner=_resolved(found.routing, find, (*way, found.name), passed, places))


def _way_fault(way: tuple[str, ...], found: Inner) -> str:
    """Return why a virtual model can't be the next one on a way."""
    if found.name in way:
        return f"leads back to itself: {said((*way, found.name)[way.index(found.name) :])}"
    return f"is nested more than {MOST_DEPTH} deep: {said((*way, found.name))}" if len(way) >= MOST_DEPTH else ""


def _leaves(targets: tuple[RoutedTarget, ...]) -> Iterator[RoutedTarget]:
    for target in targets:
        yield from target.inner.leaves if target.inner is not None else (target,)


def said(way: Iterable[str]) -> str:
    """Return names in the order in which one leads to the next."""
    return " -> ".join(way)


def composed(outer: RoutedTarget | None, inner: RoutedTarget) -> RoutedTarget:
    """Return an inner virtual model's target as calls through ``outer`` use it."""
    if outer is None:
        return replace(inner, fault="", via=(), model_types=None)
    set_outside = {name.lower() for name, _ in outer.set_headers}
    kept = [pair for pair in inner.set_headers if pair[0].lower() not in set_outside | outer.removed_headers]
    retried = outer if outer.retries is not None else inner
    first, token = outer.sla
    return replace(
        inner,
        sla=(inner.sla[0] if first is None else first, inner.sla[1] if token is None else token),
        retries=retried.retries,
        retry_statuses=retried.retry_statuses,
        delay=retried.delay,
        fallback_statuses=inner.fallback_statuses if outer.fallback_statuses is None else outer.fallback_statuses,
        params={**inner.params, **outer.params},
        set_headers=(*kept, *outer.set_headers),
        removed_headers=(inner.removed_headers - set_outside) | outer.removed_headers,
        metadata=(*inner.metadata, *outer.metadata),
        via=outer.via,
        model_types=outer.model_types,
        fault=outer.fault,
    )
