"""What routing rules do: spread calls over targets (``gateway-load-balancing-config``), or say who answers where the
asked model fails (``gateway-fallback-config``).

The ``effect`` of a rule is one of these; the fields of a target are those of virtual models (``providers.routing``)::

    {"routing": {"type": "weight-based-routing", "load_balance_targets": [{"target": "openai/gpt-4o", "weight": 1}]}}
    {"fallback": {"models": [{"target": "azure/gpt-4o", "override_params": {"temperature": 0}}], "statuses": ["500"]}}
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from providers.routing import shape
from providers.routing.compiled import FALLBACK_STATUSES, RoutedTarget, Routing, compile_routing, compile_target

Fault = tuple[str, str]
SPREAD: Final = "gateway-load-balancing-config"
FALLBACK: Final = "gateway-fallback-config"
FALLBACK_FIELDS: Final = ("target", "override_params")
MOST_FALLBACKS: Final = 50


@dataclass(frozen=True, slots=True)
class Route:
    """A routing rule's effect as calls use it: a routing, or ``fallbacks`` for attempts that end with ``statuses``."""

    routing: Routing | None = None
    fallbacks: tuple[RoutedTarget, ...] = ()
    statuses: frozenset[int] = frozenset()

    @property
    def leaves(self) -> list[RoutedTarget]:
        """The models that calls may go to in the end, through virtual models or not."""
        behind = [each for target in self.fallbacks for each in (target.inner.leaves if target.inner else (target,))]
        return [*(self.routing.leaves if self.routing is not None else ()), *behind]


def faults(form: str, effect: Any) -> Iterator[Fault]:
    """Yield what is wrong with the effect of a rule of ``form``, each with its path within the effect."""
    field = "routing" if form == SPREAD else "fallback"
    if not isinstance(effect, dict) or set(effect) != {field}:
        yield f".{field}", f"A rule of {form} has a {field}, and nothing else."
    elif form == SPREAD:
        for path, problem in shape.faults_of(effect[field], ()):
            yield f".routing.{path}".rstrip("."), problem
    else:
        yield from _fallback_faults(effect[field])


def _fallback_faults(fallback: Any) -> Iterator[Fault]:
    if not isinstance(fallback, dict) or not set(fallback) <= {"models", "statuses"}:
        yield ".fallback", 'Write {"models": [{"target": "account/model"}], "statuses": ["429", "500"]}.'
        return
    if shape.statuses(fallback.get("statuses", [])) is None:
        yield ".fallback.statuses", 'Write a list of status codes from 400 to 599: ["429", "500"].'
    models = fallback.get("models")
    if not isinstance(models, list) or not models or len(models) > MOST_FALLBACKS:
        yield ".fallback.models", f"Write a list of 1 to {MOST_FALLBACKS} targets."
        return
    for number, model in enumerate(models):
        for path, problem in shape.target_faults(model, FALLBACK_FIELDS):
            yield f".fallback.models[{number}]{path}", problem


def target_names(effect: Mapping[str, Any]) -> list[str]:
    """Return the names of the targets of a rule's effect, as ``account/model``."""
    models = effect.get("fallback", {}).get("models", [])
    return [*shape.target_names(effect.get("routing")), *(model["target"] for model in models)]


def compile_route(effect: Mapping[str, Any]) -> Route:
    """Return a checked effect as calls use it. Raises as :func:`providers.routing.compiled.compile_routing` does."""
    if "routing" in effect:
        return Route(routing=compile_routing(effect["routing"]))
    fallback = effect["fallback"]
    return Route(
        fallbacks=tuple(compile_target(model) for model in fallback["models"]),
        statuses=shape.statuses(fallback.get("statuses", [])) or FALLBACK_STATUSES,
    )
