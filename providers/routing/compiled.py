"""A virtual model's routing as calls use it: frozen, in memory."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from providers.routing import shape

FALLBACK_STATUSES: Final = frozenset({401, 403, 404, 408, 429, 500, 502, 503})
RETRY_STATUSES: Final = frozenset({429, 500, 502, 503})
RETRY_DELAY_MS: Final = 100


@dataclass(frozen=True, slots=True)
class RoutedTarget:
    """One target of a virtual model. ``retries`` follow its first attempt, ``delay`` seconds apart at first.

    ``price`` is what a call would cost there, in pico-dollars, where its order goes by that. ``sla`` are the most
    milliseconds to the first token and for each output token, ``None`` without a bound.
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
    fallback_statuses: frozenset[int] = FALLBACK_STATUSES
    fallback_candidate: bool = True
    params: Mapping[str, msgspec.Raw] = field(default_factory=dict)
    set_headers: tuple[tuple[str, str], ...] = ()
    removed_headers: frozenset[str] = frozenset()
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The target's public name."""
        return f"{self.account}/{self.model}"


@dataclass(frozen=True, slots=True)
class Routing:
    """How a virtual model spreads its calls. ``sticky`` are the sources and keys of what makes a session; ``mirror`` is
    the target that gets copies of ``mirror_percent`` of the calls. ``hedge``: the second target is asked, too, when
    the first takes longer than this share of its answers. ``retry_share`` bounds retries to so many of a target's
    calls."""

    type: str
    targets: tuple[RoutedTarget, ...]
    sticky: tuple[tuple[str, str], ...] = ()
    mirror: RoutedTarget | None = None
    mirror_percent: float = 0.0
    hedge: float | None = None
    retry_share: float | None = None


def compile_routing(config: Mapping[str, Any]) -> Routing:
    """Return a checked configuration as calls use it. Raises ``LookupError``, ``TypeError`` or ``ValueError`` for one
    that this version does not understand."""
    sticky, mirror = config.get("sticky_routing") or {}, config.get("mirror")
    return Routing(
        type=config["type"],
        targets=tuple(compile_target(target) for target in config["load_balance_targets"]),
        sticky=tuple(
            (part["source"], part["key"].lower() if part["source"] == "headers" else part["key"])
            for part in sticky.get("session_identifiers", ())
        ),
        mirror=compile_target(mirror) if mirror else None,
        hedge=config["hedge"]["percentile"] / 100 if config.get("hedge") else None,
        retry_share=config["retry_budget"]["percent"] / 100 if config.get("retry_budget") else None,
        mirror_percent=float(mirror["percent"]) if mirror else 0.0,
    )


def compile_target(target: Mapping[str, Any]) -> RoutedTarget:
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
        fallback_statuses=shape.statuses(target.get("fallback_status_codes", [])) or FALLBACK_STATUSES,
        fallback_candidate=target.get("fallback_candidate", True),
        params={
            name: msgspec.Raw(msgspec.json.encode(value))
            for name, value in (target.get("override_params") or {}).items()
        },
        set_headers=tuple((headers.get("set") or {}).items()),
        removed_headers=frozenset(name.lower() for name in headers.get("remove") or ()),
        metadata=tuple((target.get("metadata_match") or {}).items()),
    )
