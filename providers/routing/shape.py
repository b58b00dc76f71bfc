"""How a virtual model spreads its calls: ``routing_config`` of the contract's manifests, checked and in one spelling.

::

    {"type": "weight-based-routing",
     "load_balance_targets": [{"target": "openai-main/gpt-4o", "weight": 80}, {"target": "azure/gpt-4o", "weight": 20}],
     "sticky_routing": {"ttl_seconds": 3600, "session_identifiers": [{"source": "metadata", "key": "session"}]}}

A target may have ``retry_config``, ``fallback_status_codes``, ``fallback_candidate``, ``override_params``,
``headers_override``, ``metadata_match``; by type ``weight``, ``priority`` with ``sla_cutoff``, or ``tier``.

Ours are ``mirror``, the target that gets copies: ``{"target": "new/model", "percent": 5}``, and ``hedge``, a second
request beside a slow one: ``{"percentile": 95, "pays_twice": true}``; and ``retry_budget``: ``{"percent": 20}``.
"""

import difflib
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from providers.routing.overriding import param_faults

Fault = tuple[str, str]
"""Where in the configuration, as a path, and what is wrong there."""

WEIGHT, LATENCY, PRIORITY, COMPLEXITY, LEAST_BUSY, COST = (
    "weight-based-routing",
    "latency-based-routing",
    "priority-based-routing",
    "complexity-based-routing",
    "least-busy-routing",
    "cost-based-routing",
)
TYPES: Final = (WEIGHT, LATENCY, PRIORITY, COMPLEXITY, LEAST_BUSY, COST)
"""The last two are ours."""
TIERS: Final = ("simple", "medium", "complex")
MODEL_TYPES: Final = frozenset(
    {
        "chat",
        "completion",
        "embedding",
        "rerank",
        "moderation",
        "audio_transcription",
        "audio_translation",
        "text_to_speech",
        "image",
        "responses",
    }
)
"""What a virtual model can be called for."""
TIERED_TYPES: Final = frozenset({"chat", "completion", "responses"})
MOST_TARGETS: Final = 50
MOST_RETRIES: Final = 10
LONGEST_DELAY_MS: Final = 60_000
COMMON_FIELDS: Final = (
    "target",
    "retry_config",
    "fallback_status_codes",
    "fallback_candidate",
    "override_params",
    "headers_override",
    "metadata_match",
)
FIELDS: Final = {
    WEIGHT: ("weight",),
    LATENCY: (),
    PRIORITY: ("priority", "sla_cutoff"),
    COMPLEXITY: ("tier",),
    LEAST_BUSY: (),
    COST: (),
}
MIRROR_FIELDS: Final = ("target", "percent", "override_params", "headers_override", "metadata_match")
PROMPT: Final = "prompt"
PROMPT_KEYS: Final = ("prefix", "prompt_cache_key")
SESSION_SOURCES: Final = ("headers", "metadata", PROMPT)
"""Where a session's identifiers come from. The prompt is ours: its beginning, or the key that a call gives it."""
SLA_FIELDS: Final = ("time_per_output_token_ms", "time_to_first_token_ms")
# Ours to set: the model is the target's own, and a stream must be what the caller reads.
FORBIDDEN_PARAMS: Final = frozenset({"model", "stream"})
TARGET_HOLDERS: Final = frozenset({"cheaper", "fallback", "load_balance_targets", "mirror", "models", "routing"})
"""What targets are in, in routings and in effects of rules."""
HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
HEADER_VALUE: Final = re.compile(r"[\t !-~]{0,4000}")
FORBIDDEN_HEADERS: Final = frozenset(
    {"authorization", "x-api-key", "api-key", "x-goog-api-key", "host", "content-type", "content-length"}
    | {"transfer-encoding", "connection", "cookie", "content-encoding", "accept-encoding"}
)
"""Headers that carry credentials or frame the request: an override must not touch them."""


def faults_of(config: Any, model_types: Iterable[str]) -> list[Fault]:
    """Return everything that is wrong with a virtual model's routing, each with its path."""
    if not isinstance(config, dict) or not config:
        return [("", "Write an object with type and load_balance_targets.")]
    kind = config.get("type")
    if kind not in TYPES:
        return [("type", f"{kind!r} is not a type of routing. {_known(kind, TYPES)}")]
    return [*_faults(kind, config, frozenset(model_types))]


def _faults(kind: str, config: dict[str, Any], model_types: frozenset[str]) -> Iterator[Fault]:
    known = ["type", "load_balance_targets", "mirror", "hedge", "retry_budget"]
    known += ["sticky_routing"] if kind == WEIGHT else ["classification_strategy"] if kind == COMPLEXITY else []
    for name in config:
        if name not in known:
            yield name, f"is not known for {kind}. {_known(name, known)}"
    for name in sorted(model_types - (TIERED_TYPES if kind == COMPLEXITY else MODEL_TYPES)):
        yield "", f"A virtual model with {kind} can't be called for {name}."
    targets = config.get("load_balance_targets")
    if not isinstance(targets, list) or not targets or len(targets) > MOST_TARGETS:
        yield "load_balance_targets", f"Write a list of 1 to {MOST_TARGETS} targets."
        return
    for number, target in enumerate(targets):
        for path, problem in _routed_faults(kind, target):
            yield f"load_balance_targets[{number}]{path}", problem
    yield from _over_all(kind, [target for target in targets if isinstance(target, dict)])
    if kind == WEIGHT and config.get("sticky_routing") is not None:
        yield from _sticky_faults(config["sticky_routing"])
    yield from _mirror_faults(config.get("mirror"))
    yield from _hedge_faults(config.get("hedge"))
    budget = config.get("retry_budget")
    if budget is not None and not (isinstance(budget, dict) and set(budget) == {"percent"}):
        yield "retry_budget", 'Write {"percent": 20}.'
    elif budget is not None and not _number(budget["percent"], 0, 100):
        yield "retry_budget.percent", "Write of how many percent of a target's calls there may be retries: 0 to 100."
    if kind == COMPLEXITY:
        yield from _strategy_faults(config.get("classification_strategy", {"type": "heuristic"}))


def target_faults(target: Any, known: Iterable[str]) -> Iterator[Fault]:
    """Yield what is wrong with a target that may have the ``known`` fields, but for those that a type of routing has
    of its own."""
    if not isinstance(target, dict):
        yield "", 'Write an object: {"target": "account/model"}.'
        return
    for name in target:
        if name not in known:
            yield f".{name}", f"is not known. {_known(name, known)}"
    name = target.get("target")
    if not isinstance(name, str) or not all(name.partition("/")):
        yield ".target", "Write account/model."
    if not isinstance(target.get("fallback_candidate", True), bool):
        yield ".fallback_candidate", "Write true or false."
    yield from _sla_faults(target.get("sla_cutoff"))
    yield from _retry_faults(target.get("retry_config"))
    if statuses(target.get("fallback_status_codes", [])) is None:
        yield ".fallback_status_codes", 'Write a list of status codes from 400 to 599: ["429", "500"].'
    yield from _override_faults(target)


def _routed_faults(kind: str, target: Any) -> Iterator[Fault]:
    yield from target_faults(target, (*COMMON_FIELDS, *FIELDS[kind]))
    if not isinstance(target, dict):
        return
    if kind == WEIGHT and not _number(target.get("weight"), 0, 1e9):
        yield ".weight", "Write a number of zero or more."
    if not _whole(target.get("priority", 0), 0, 1_000_000):
        yield ".priority", "Write a whole number; 0 comes first."
    if kind == COMPLEXITY and target.get("tier") not in TIERS:
        yield ".tier", f"Valid values: {', '.join(TIERS)}."


def _sla_faults(cutoff: Any) -> Iterator[Fault]:
    if cutoff is None:
        return
    if not isinstance(cutoff, dict) or not cutoff or not set(cutoff) <= set(SLA_FIELDS):
        yield ".sla_cutoff", f"Write one or both of {', '.join(SLA_FIELDS)}."
        return
    for name, limit in cutoff.items():
        if not _number(limit, 0.001, 1e9):
            yield f".sla_cutoff.{name}", "Write milliseconds."


def _retry_faults(config: Any) -> Iterator[Fault]:
    if config is None:
        return
    if not isinstance(config, dict) or not set(config) <= {"attempts", "delay", "on_status_codes"}:
        yield ".retry_config", "Write attempts, delay (milliseconds) and on_status_codes."
        return
    if not _whole(config.get("attempts"), 0, MOST_RETRIES):
        yield ".retry_config.attempts", f"Write a whole number from 0 to {MOST_RETRIES}."
    if not _number(config.get("delay", 100), 0, LONGEST_DELAY_MS):
        yield ".retry_config.delay", f"Write milliseconds, at most {LONGEST_DELAY_MS}."
    if statuses(config.get("on_status_codes", [])) is None:
        yield ".retry_config.on_status_codes", 'Write a list of status codes from 400 to 599: ["429", "500"].'


def _override_faults(target: dict[str, Any]) -> Iterator[Fault]:
    params = target.get("override_params") or {}
    if not isinstance(params, dict):
        yield ".override_params", "Write an object of the request's fields."
    for name in FORBIDDEN_PARAMS.intersection(params):
        yield f".override_params.{name}", "can't be overridden."
    for path, problem in param_faults(params) if isinstance(params, dict) else ():
        if path not in FORBIDDEN_PARAMS:
            yield f".override_params.{path}", problem
    changes = target.get("headers_override") or {}
    if not isinstance(changes, dict) or not set(changes) <= {"set", "remove"}:
        yield ".headers_override", 'Write {"set": {"name": "value"}, "remove": ["name"]}.'
        return
    added, removed = changes.get("set") or {}, changes.get("remove") or []
    if not isinstance(added, dict) or not isinstance(removed, list):
        yield ".headers_override", 'Write {"set": {"name": "value"}, "remove": ["name"]}.'
        return
    for name in (*added, *removed):
        if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
            yield ".headers_override", f"{name!r} is not a valid header name."
        elif name.lower() in FORBIDDEN_HEADERS:
            yield ".headers_override", f"{name!r} is set by the provider account itself."
    for name, value in added.items():
        if not isinstance(value, str) or not HEADER_VALUE.fullmatch(value):
            yield f".headers_override.set.{name}", "is not a valid header value."
    match = target.get("metadata_match") or {}
    if not isinstance(match, dict) or not all(isinstance(value, str) for value in match.values()):
        yield ".metadata_match", 'Write an object of strings: {"env": "prod"}.'


def _over_all(kind: str, targets: list[dict[str, Any]]) -> Iterator[Fault]:
    names = [target.get("target") for target in targets]
    for name in sorted({name for name in names if isinstance(name, str) and names.count(name) > 1}):
        yield "load_balance_targets", f"{name} appears twice. Keep one of them."
    if kind == WEIGHT and not any(_number(target.get("weight"), 1e-9, 1e9) for target in targets):
        yield "load_balance_targets", "No target has a weight above zero."


def _sticky_faults(sticky: Any) -> Iterator[Fault]:
    fix = 'Write {"ttl_seconds": 3600, "session_identifiers": [{"source": "headers", "key": "x-session"}]}.'
    if not isinstance(sticky, dict) or set(sticky) != {"ttl_seconds", "session_identifiers"}:
        yield "sticky_routing", fix
        return
    if not _whole(sticky["ttl_seconds"], 1, 10**9):
        yield "sticky_routing.ttl_seconds", "Write a whole number of seconds."
    parts = sticky["session_identifiers"]
    if not isinstance(parts, list) or not parts:
        yield "sticky_routing.session_identifiers", fix
        return
    for number, part in enumerate(parts):
        valid = isinstance(part, dict) and set(part) == {"source", "key"} and part["source"] in SESSION_SOURCES
        if not valid or not isinstance(part["key"], str) or not part["key"]:
            yield f"sticky_routing.session_identifiers[{number}]", "Write source (headers, metadata or prompt) and key."
        elif part["source"] == PROMPT and part["key"] not in PROMPT_KEYS:
            fix = f"Valid keys of a prompt: {', '.join(PROMPT_KEYS)}."
            yield f"sticky_routing.session_identifiers[{number}].key", fix


def _mirror_faults(mirror: Any) -> Iterator[Fault]:
    if mirror is None:
        return
    for path, problem in target_faults(mirror, MIRROR_FIELDS):
        yield f"mirror{path}", problem
    if isinstance(mirror, dict) and not _number(mirror.get("percent"), 0.001, 100):
        yield "mirror.percent", "Write of how many percent of the calls it gets copies: above 0, 100 at most."


def _hedge_faults(hedge: Any) -> Iterator[Fault]:
    if hedge is None:
        return
    if not isinstance(hedge, dict) or set(hedge) != {"percentile", "pays_twice"}:
        yield "hedge", 'Write {"percentile": 95, "pays_twice": true}.'
        return
    if not _number(hedge["percentile"], 50, 99.9):
        yield "hedge.percentile", "Write a number from 50 to 99.9."
    if hedge["pays_twice"] is not True:
        yield "hedge.pays_twice", "Both requests are paid for: write true to allow that, or leave hedge out."


def _strategy_faults(strategy: Any) -> Iterator[Fault]:
    if strategy != {"type": "heuristic"}:
        yield "classification_strategy", 'Only {"type": "heuristic"} is supported: no model is asked about a call.'


def statuses(codes: Any) -> frozenset[int] | None:
    """Return status codes, written as numbers or strings; ``None`` for what is not a list of those from 400 to 599."""
    if not isinstance(codes, list):
        return None
    found = {int(code) for code in codes if re.fullmatch(r"[45]\d\d", str(code)) and not isinstance(code, bool)}
    return frozenset(found) if len(found) == len({str(code) for code in codes}) else None


def target_names(config: Any) -> list[str]:
    """Return the names of a configuration's targets and of its mirror, as ``account/model``."""
    mirror = mirror_name(config)
    return routed_names(config) + ([mirror] if mirror is not None else [])


def routed_names(config: Any) -> list[str]:
    """Return the names of a configuration's targets, as ``account/model``."""
    targets = config.get("load_balance_targets") if isinstance(config, dict) else None
    found = (
        [target.get("target") for target in targets if isinstance(target, dict)] if isinstance(targets, list) else []
    )
    return [name for name in found if isinstance(name, str)]


def mirror_name(config: Any) -> str | None:
    """Return the name of a configuration's mirror, as ``account/model``."""
    mirror = config.get("mirror") if isinstance(config, dict) else None
    name = mirror.get("target") if isinstance(mirror, dict) else None
    return name if isinstance(name, str) else None


def renamed_targets(value: Any, old: str, new: str) -> Any:
    """Return a routing, or an effect of a rule, with the targets on the account ``old`` on ``new`` instead."""
    if isinstance(value, list):
        return [renamed_targets(each, old, new) for each in value]
    if not isinstance(value, dict):
        return value
    made = {name: renamed_targets(each, old, new) if name in TARGET_HOLDERS else each for name, each in value.items()}
    target = made.get("target")
    if isinstance(target, str) and target.startswith(f"{old}/"):
        made["target"] = new + target[len(old) :]
    return made


def _known(name: object, known: Iterable[str]) -> str:
    known = tuple(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Valid values: {', '.join(known)}."


def _number(value: Any, least: float, most: float) -> bool:
    valid = isinstance(value, int | float) and not isinstance(value, bool)
    return valid and math.isfinite(value) and least <= value <= most


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
