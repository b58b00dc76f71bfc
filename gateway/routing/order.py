"""In which order the targets of a virtual model are tried, by its type of routing. Those that fail come last."""

import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic, time
from typing import Final, NamedTuple

from gateway.body.json import text_of
from gateway.call.call import Call
from gateway.routing.complexity import tier_of
from gateway.routing.health import LATENCY_SECONDS, Health, health
from providers.routing import shape
from providers.routing.compiled import RoutedTarget, Routing

EPOCH_SECONDS: Final = 600
"""How long a caller stays with one of several targets that are as fast."""
PREFIX_BYTES: Final = 4_096
"""About the 1,024 tokens from which on providers keep prompts."""
PROMPT_FIELDS: Final = (
    "tools",
    "system",
    "systemInstruction",
    "instructions",
    "messages",
    "input",
    "contents",
    "prompt",
)
"""The fields that a prompt is made of at the provider, in its order."""
AS_FAST: Final = 1.2
"""Targets whose median is up to so many times the best one's are as fast as it."""

Targets = Sequence[RoutedTarget]


class Seen(NamedTuple):
    """What an order goes by beside the call: how targets do, the moment (in the seconds of that), and what draws a
    number between 0 and 1 for a name."""

    health: Health
    now: float
    draw: Callable[[str], float]


def _chance(name: str) -> float:
    return random.random()


def ordered(routing: Routing, targets: Targets, call: Call, seen: Seen | None = None) -> list[RoutedTarget]:
    """Return ``targets``, which are of the routing's leaves, in the order in which the call tries them: those that fail
    behind those that don't, and behind the first one only candidates for fallback. ``seen`` is this process's
    present, unless another is given."""
    seen = seen or Seen(health, monotonic(), _chance)
    if routing.leaves is routing.targets:
        return _in_turn(routing, targets, call, seen)
    found = _grouped(routing, {target.place: target for target in targets}, call, seen)
    found.sort(key=lambda target: not _is_well(target, seen))
    return found


def _in_turn(routing: Routing, targets: Targets, call: Call, seen: Seen) -> list[RoutedTarget]:
    found = ORDERS[routing.type](routing, targets, call, seen)
    found.sort(key=lambda target: not _is_well(target, seen))
    return [*found[:1], *(target for target in found[1:] if target.fallback_candidate)]


def _grouped(routing: Routing, left: Mapping[int, RoutedTarget], call: Call, seen: Seen) -> list[RoutedTarget]:
    """Return those of the targets that are ``left``, by place, which the routing leads to: an inner virtual model is as
    one target, as quick, dear and well as the one of its own that it would ask first."""
    heads: list[RoutedTarget] = []
    groups: dict[str, list[RoutedTarget]] = {}
    for entry in routing.targets:
        if entry.inner is not None:
            group = _grouped(entry.inner, left, call, seen)
        else:
            group = [left[entry.place]] if entry.place in left else []
        if group:
            heads.append(replace(entry, head=group[0].name, price=group[0].price))
            groups[entry.name] = group
    return [target for head in _in_turn(routing, heads, call, seen) for target in groups[head.name]]


def _is_well(target: RoutedTarget, seen: Seen) -> bool:
    """Whether a target may have a call in its turn, and keeps the bounds that its configuration gives it."""
    known = seen.health.of(target.asked)
    return known.usable(seen.now) and (target.sla == (None, None) or known.keeps(target.sla, seen.now))


def _by_weight(routing: Routing, targets: Targets, call: Call, seen: Seen) -> list[RoutedTarget]:
    """Draw by weight; a session draws the same whenever and wherever it comes (weighted rendezvous hashing)."""
    session = session_of(routing, call)
    draw = hashed(session) if session else seen.draw
    return sorted(targets, key=lambda target: _score(draw(target.name), target.weight))


def _score(drawn: float, weight: float) -> float:
    """Return an exponential variate of rate ``weight``: the least of several is of each with its weight's chance."""
    return -math.log(max(drawn, 1e-300)) / weight if weight > 0 else math.inf


def _by_latency(routing: Routing, targets: Targets, call: Call, seen: Seen) -> list[RoutedTarget]:
    """The fastest by the median for an output token (without streams: to the whole answer), unknown ones first."""
    known, now = seen.health, seen.now
    medians = {target.name: known.of(target.asked).median(now, LATENCY_SECONDS, first=False)[0] for target in targets}
    best = min((median for median in medians.values() if median is not None), default=0.0)
    draw = hashed(f"{call.caller.key}\0{int(time() // EPOCH_SECONDS)}")

    def rank(target: RoutedTarget) -> tuple[float, float]:
        median = medians[target.name]
        if median is None:
            return 0.0, draw(target.name)
        return (1.0 if median <= best * AS_FAST else 1.0 + median), draw(target.name)

    return sorted(targets, key=rank)


def _by_priority(routing: Routing, targets: Targets, call: Call, seen: Seen) -> list[RoutedTarget]:
    return sorted(targets, key=lambda target: (target.priority, seen.draw(target.name)))


def _by_complexity(routing: Routing, targets: Targets, call: Call, seen: Seen) -> list[RoutedTarget]:
    """The tier of the call first, then the stronger ones, then the weaker."""
    wanted = shape.TIERS.index(tier_of(call))

    def rank(target: RoutedTarget) -> int:
        tier = shape.TIERS.index(target.tier)
        return tier - wanted if tier >= wanted else len(shape.TIERS) + wanted - tier

    return sorted(targets, key=rank)


def _by_load(routing: Routing, targets: Targets, call: Call, seen: Seen) -> list[RoutedTarget]:
    """The one with the fewest calls of virtual models under way in this worker."""
    return sorted(targets, key=lambda target: (seen.health.of(target.asked).running, seen.draw(target.name)))


def _by_cost(routing: Routing, targets: Targets, call: Call, seen: Seen) -> list[RoutedTarget]:
    """The cheapest for the call; those without a known price last."""
    return sorted(targets, key=lambda target: (target.price, seen.draw(target.name)))


ORDERS: Final[Mapping[str, Callable[[Routing, Targets, Call, Seen], list[RoutedTarget]]]] = {
    shape.WEIGHT: _by_weight,
    shape.LATENCY: _by_latency,
    shape.PRIORITY: _by_priority,
    shape.COMPLEXITY: _by_complexity,
    shape.LEAST_BUSY: _by_load,
    shape.COST: _by_cost,
}


def session_of(routing: Routing, call: Call) -> str:
    """Return what makes the call one of a session, empty when it says none of it."""
    parts = [_identifier(source, key, call) for source, key in routing.sticky]
    return "\0".join(parts) if any(parts) else ""


def _identifier(source: str, key: str, call: Call) -> str:
    if source == "headers":
        return call.session_headers.get(key.encode("latin1", "replace"), b"").decode("latin1")
    if source == shape.PROMPT:
        return _beginning(call) if key == "prefix" else text_of(call.body.fields.get(key)) or ""
    return call.options.metadata.get(key, "")


def _beginning(call: Call) -> str:
    """Return a digest of how the call's prompt begins: what providers' caches of prompts go by. Calls whose prompt is
    shorter than they keep are not of a session."""
    said = [call.body.fields[name] for name in PROMPT_FIELDS if name in call.body.fields]
    begins = b"".join(bytes(memoryview(raw)[:PREFIX_BYTES]) for raw in said)[:PREFIX_BYTES]
    return hashlib.blake2b(begins, digest_size=16).hexdigest() if len(begins) == PREFIX_BYTES else ""


def hashed(session: str) -> Callable[[str], float]:
    """Return a draw between 0 and 1 for each name that is always the same for a session."""

    def draw(name: str) -> float:
        digest = hashlib.blake2b(f"{session}\0{name}".encode("utf-8", "replace"), digest_size=8).digest()
        return (int.from_bytes(digest, "big") + 1) / (2**64 + 1)

    return draw
