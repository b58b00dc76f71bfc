"""A virtual model's routing as calls use it: frozen, in memory."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from providers.routing import shape
from providers.routing.overriding import params_fault

FALLBACK_STATUSES: Final = frozenset({401, 403, 404, 408, 429, 500, 502, 503})
RETRY_STATUSES: Final = frozenset({429, 500, 502, 503})
RETRY_DELAY_MS: Final = 100


@dataclass(frozen=True, slots=True)
class RoutedTarget:
    """One target of a virtual model. ``retries`` follow its first attempt, ``delay`` seconds apart at first.

    ``price`` is what a call would cost there, in pico-dollars, where its order goes by that. ``sla`` are the most
    milliseconds to the first token and for each output token, ``None`` without a bound. ``fallback_statuses``:
    ``None`` means :data:`FALLBACK_STATUSES`.

    Of a target that is itself a virtual model ``inner`` is that one's routing, and ``head``, while a call is planned,
    the name of the target that it would send the call to first. A target that is reached through virtual models has
    their names in ``via``, the outermost first, what calls all of them are for in ``model_types`` (``None``: any), and
    why none of them can use it in ``fault``.
    ``barred`` says why what is stored of it may not be followed. ``place`` is its number among all targets of a
    routing.
    """

    account: str
    model: str
    weight: float = 0.0
    priority: int = 0
    tier: str = ""
    price: float = math.inf
    sla: tuple[float | None, float | None] = (None, None)
    retries: int | None = None
    retry_statuses: frozenset[int] = RETRY_STATUSES
    delay: float = RETRY_DELAY_MS / 1000
    fallback_statuses: frozenset[int] | None = None
    fallback_candidate: bool = True
    params: Mapping[str, msgspec.Raw] = field(default_factory=dict)
    set_headers: tuple[tuple[str, str], ...] = ()
    removed_headers: frozenset[str] = frozenset()
    metadata: tuple[tuple[str, str], ...] = ()
    inner: "Routing | None" = None
    head: str = ""
    via: tuple[str, ...] = ()
    model_types: frozenset[str] | None = None
    fault: str = ""
    barred: str = ""
    place: int = 0
    name: str = field(init=False, default="")
    """The target's public name, made once: an order of targets looks at it many times."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.account}/{self.model}")

    @property
    def asked(self) -> str:
        """The public name of the target whose health and speed count for this one."""
        return self.head or self.name

    @property
    def way(self) -> str:
        """The target's name behind those of the virtual models that lead to it."""
        return " -> ".join((*self.via, self.name))


@dataclass(frozen=True, slots=True)
class Routing:
    """How a virtual model spreads its calls. ``sticky`` are the sources and keys of what makes a session; ``mirror`` is
    the target that gets copies of ``mirror_percent`` of the calls. ``hedge``: the second target is asked, too, when
    the first takes longer than this share of its answers. ``retry_share`` bounds retries to so many of a target's
    calls.

    ``leaves`` are the models that calls go to in the end: ``targets`` itself, unless one of them is a virtual model
    (see :mod:`providers.routing.nesting`). Where one is, ``base`` is the routing as stored, and ``found`` what each
    target on the way was found to be."""

    type: str
    targets: tuple[RoutedTarget, ...]
    leaves: tuple[RoutedTarget, ...]
    sticky: tuple[tuple[str, str], ...] = ()
    mirror: RoutedTarget | None = None
    mirror_percent: float = 0.0
    hedge: float | None = None
    retry_share: float | None = None
    base: "Routing | None" = field(default=None, repr=False, compare=False)
    found: tuple[tuple[RoutedTarget, Any], ...] = field(default=(), repr=False, compare=False)

    @property
    def stored(self) -> "Routing":
        """The routing as stored, with none of its targets resolved."""
        return self if self.base is None else self.base

    @property
    def is_priced(self) -> bool:
        """Whether its order, or that of a virtual model in it, goes by what the call would cost."""
        if self.type == shape.COST or self.leaves is self.targets:
            return self.type == shape.COST
        return any(target.inner.is_priced for target in self.targets if target.inner is not None)

    @property
    def retry_bound(self) -> float | None:
        """The share that bounds retries: its own, or the least that an inner virtual model has."""
        if self.retry_share is not None or self.leaves is self.targets:
            return self.retry_share
        inner = [target.inner.retry_bound for target in self.targets if target.inner is not None]
        return min((share for share in inner if share is not None), default=None)


def compile_routing(config: Mapping[str, Any]) -> Routing:
    """Return a checked configuration as calls use it. Raises ``LookupError``, ``TypeError`` or ``ValueError`` for one
    that this version does not understand."""
    sticky, mirror = config.get("sticky_routing") or {}, config.get("mirror")
    targets = tuple(compile_target(target, place) for place, target in enumerate(config["load_balance_targets"]))
    return Routing(
        type=config["type"],
        targets=targets,
        leaves=targets,
        sticky=tuple(
            (part["source"], part["key"].lower() if part["source"] == "headers" else part["key"])
            for part in sticky.get("session_identifiers", ())
        ),
        mirror=compile_target(mirror) if mirror else None,
        hedge=config["hedge"]["percentile"] / 100 if config.get("hedge") else None,
        retry_share=config["retry_budget"]["percent"] / 100 if config.get("retry_budget") else None,
        mirror_percent=float(mirror["percent"]) if mirror else 0.0,
    )


def compile_target(target: Mapping[str, Any], place: int = 0) -> RoutedTarget:
    """Return one checked target as calls use it."""
    account, _, model = target["target"].partition("/")
    retry, cutoff = target.get("retry_config") or {}, target.get("sla_cutoff") or {}
    headers = target.get("headers_override") or {}
    return RoutedTarget(
        account=account,
        model=model,
        weight=float(target.get("weight", 0)),
        priority=target.get("priority", 0),
        tier=target.get("tier", ""),
        sla=(cutoff.get("time_to_first_token_ms"), cutoff.get("time_per_output_token_ms")),
        retries=retry.get("attempts"),
        retry_statuses=shape.statuses(retry.get("on_status_codes", [])) or RETRY_STATUSES,
        delay=retry.get("delay", RETRY_DELAY_MS) / 1000,
        fallback_statuses=shape.statuses(target.get("fallback_status_codes", [])) or None,
        fallback_candidate=target.get("fallback_candidate", True),
        params={
            name: msgspec.Raw(msgspec.json.encode(value))
            for name, value in (target.get("override_params") or {}).items()
        },
        set_headers=tuple((headers.get("set") or {}).items()),
        removed_headers=frozenset(name.lower() for name in headers.get("remove") or ()),
        metadata=tuple((target.get("metadata_match") or {}).items()),
        barred=params_fault(target.get("override_params")),
        place=place,
    )
