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
from providers.routing.overriding import VENDOR_CHOICE

MOST_DEPTH: Final = 5
"""So many virtual models may be on the way to a target, the one that is called included."""
MOST_LEAVES: Final = 200
"""So many targets a virtual model may have in all."""
MOST_STEPS: Final = MOST_DEPTH * MOST_LEAVES
"""So many targets, those that are virtual models included, are looked at to resolve one: enough for all that may be
stored, whatever is."""
TOO_MANY: Final = f"is not used: with it there would be more than {MOST_LEAVES} targets in all"


@dataclass(frozen=True, slots=True)
class Inner:
    """A virtual model that a target names: its present name, whether it and its account are enabled, what it is for,
    and its routing as stored."""

    name: str
    enabled: bool
    model_types: frozenset[str]
    routing: Routing


Find = Callable[[RoutedTarget], Inner | None]
"""What a target names, where that is a virtual model."""


@dataclass(slots=True)
class _Room:
    """How many leaves and steps a routing has left for what is behind its virtual targets."""

    leaves: int
    steps: int = MOST_STEPS

    def takes(self, found: Inner, find: Find, way: tuple[str, ...]) -> bool:
        """Whether all that is behind a target has room; it is counted, and nothing made of it yet."""
        leaves = -1  # it takes the target's own place
        for is_leaf in _steps(found.routing, find, (*way, found.name)):
            leaves, self.steps = leaves + is_leaf, self.steps - 1
            if leaves > self.leaves or self.steps < 0:
                return False
        self.leaves -= leaves
        return True


def nested(routing: Routing, find: Find, name: str = "") -> Routing:
    """Return ``routing``, which belongs to the virtual model ``name`` (empty: to a rule), with its virtual targets
    resolved: the same object where it was and nothing on the way has changed.

    A virtual target with more behind it than the routing has room for is left out as a whole, so that what is made is
    bounded whatever is stored.
    """
    stored = routing.stored
    if routing.found and all(_is_same(find(target), was) for target, was in routing.found):
        return routing
    if not any(find(target) is not None for target in stored.targets):
        return stored
    seen: dict[str, tuple[RoutedTarget, Inner | None]] = {}

    def noted(target: RoutedTarget) -> Inner | None:
        if target.name not in seen:
            seen[target.name] = (target, find(target))
        return seen[target.name][1]

    way, places, room = (name,) if name else (), itertools.count(), _Room(MOST_LEAVES - len(stored.targets))
    targets: list[RoutedTarget] = []
    for target in stored.targets:
        found = noted(target)
        if found is None or _way_fault(way, found) or room.takes(found, noted, way):
            targets.append(_entry(target, noted, way, None, places))
        else:
            targets.append(replace(composed(None, target), place=next(places), fault=TOO_MANY))
    leaves = tuple(_leaves(targets))
    return replace(routing, targets=tuple(targets), leaves=leaves, base=stored, found=tuple(seen.values()))


def _is_same(found: Inner | None, was: Inner | None) -> bool:
    """Whether a target means what it did. A routing that is stored as it was is the same object."""
    if found is None or was is None:
        return found is was
    known = (found.name, found.enabled, found.model_types) == (was.name, was.enabled, was.model_types)
    return known and found.routing is was.routing


def nested_target(target: RoutedTarget, find: Find) -> RoutedTarget:
    """Return a single target, resolved where it is a virtual model."""
    if find(target) is None:
        return replace(target, inner=None, fault="") if target.inner is not None or target.fault else target
    plain = replace(target, inner=None, fault="")
    return nested(Routing("", (plain,), (plain,)), find).targets[0]


def _entry(
    target: RoutedTarget, find: Find, way: tuple[str, ...], outer: RoutedTarget | None, places: "itertools.count[int]"
) -> RoutedTarget:
    found, joined = find(target), composed(outer, target)
    fault = _way_fault(way, found) if found is not None else ""
    if found is None or fault:
        return replace(joined, inner=None, place=next(places), fault=fault or joined.fault)
    fault = joined.fault or ("" if found.enabled else f"is reached through {found.name}, which is disabled")
    types = found.model_types if joined.model_types is None else joined.model_types & found.model_types
    passed = replace(joined, fault=fault, model_types=types, via=(*joined.via, found.name))
    inner = tuple(_entry(each, find, (*way, found.name), passed, places) for each in found.routing.targets)
    return replace(joined, inner=replace(found.routing, targets=inner, leaves=tuple(_leaves(inner))))


def _steps(routing: Routing, find: Find, way: tuple[str, ...]) -> Iterator[bool]:
    """Yield for each target that is on the ways of a routing whether it is a leaf."""
    for target in routing.targets:
        found = find(target)
        is_leaf = found is None or bool(_way_fault(way, found))
        yield is_leaf
        if found is not None and not is_leaf:
            yield from _steps(found.routing, find, (*way, found.name))


def _way_fault(way: tuple[str, ...], found: Inner) -> str:
    """Return why a virtual model can't be the next one on a way."""
    if found.name in way:
        return f"leads back to itself: {said((*way, found.name)[way.index(found.name) :])}"
    return f"is nested more than {MOST_DEPTH} deep: {said((*way, found.name))}" if len(way) >= MOST_DEPTH else ""


def _leaves(targets: Iterable[RoutedTarget]) -> Iterator[RoutedTarget]:
    for target in targets:
        yield from target.inner.leaves if target.inner is not None else (target,)


def said(way: Iterable[str]) -> str:
    """Return names in the order in which one leads to the next."""
    return " -> ".join(way)


def composed(outer: RoutedTarget | None, inner: RoutedTarget) -> RoutedTarget:
    """Return an inner virtual model's target as calls through ``outer`` use it."""
    if outer is None:
        return replace(inner, fault="", via=(), model_types=None)
    set_headers = tuple(pair for pair in outer.set_headers if pair[0].lower() not in VENDOR_CHOICE)
    set_outside, removed = {name.lower() for name, _ in set_headers}, outer.removed_headers - VENDOR_CHOICE
    kept = [pair for pair in inner.set_headers if pair[0].lower() not in set_outside | removed]
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
        set_headers=(*kept, *set_headers),
        removed_headers=(inner.removed_headers - set_outside) | removed,
        metadata=(*inner.metadata, *outer.metadata),
        via=outer.via,
        model_types=outer.model_types,
        fault=outer.fault,
        barred=outer.barred or inner.barred,
    )
