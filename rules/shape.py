"""The one shape of a rule, as plain data: which calls it is for (``when``) and what it does with them (``effect``).

``when`` narrows by subjects, models, provider accounts and metadata. Each part has ``in`` (one of these) and ``not_in``
(none of these); parts that are left out narrow nothing, and all that are given must fit::

    {"subjects": {"in": ["team:search", "user:ada@example.com"], "not_in": ["virtualaccount:nightly"]},
     "models": {"in": ["openai-main/gpt-4o"]}, "accounts": {"not_in": ["azure"]},
     "metadata": {"env": {"in": ["prod"]}}}

``effect`` of limits and budgets: ``limits`` by unit, ``per`` (what is counted apart, at most two), ``overrides`` (other
limits for some values of the first of ``per``), and for budgets ``alerts``, ``raises`` (more until a moment)
and ``cheaper`` (where calls go from how many percent of it on); that of routing rules is in :mod:`rules.routes`::

    {"limits": {"requests_per_minute": 100, "tokens_per_day": 2000000}, "per": ["user", "model"],
     "overrides": [{"values": ["vip@example.com"], "limits": {"requests_per_minute": 1000}}]}

A rule that is written in another order, or with a name twice, is the same rule: :func:`normal_when` and
:func:`normal_effect` say so.
"""

import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from rules import routes

Fault = tuple[str, str]
"""Where in the rule, as a path, and what is wrong there."""
Kind = Literal["limit", "budget", "routing"]

SUBJECTS: Final = {
    "user": "user",
    "team": "team",
    "virtualaccount": "virtualaccount",
    "virtual-account": "virtualaccount",
    "serviceaccount": "virtualaccount",
}
EVERYONE: Final = "team:everyone"
PARTS: Final = ("subjects", "models", "accounts", "metadata")
MOST_NAMES: Final = 10_000
MOST_OVERRIDES: Final = 1_000
MOST_PER: Final = 2
DIMENSIONS: Final = ("user", "team", "virtualaccount", "token", "model", "account")
"""What a limit may be counted apart by, beside ``metadata.KEY``."""
METADATA: Final = "metadata."
LARGEST: Final = 10**15


@dataclass(frozen=True, slots=True)
class Unit:
    """What a limit counts: ``requests``, ``input``, ``output`` or ``total`` tokens, ``concurrent`` calls, or ``cost``.

    ``seconds`` is the length of a rate limit's window (0: none), ``period`` the name of a budget's.
    """

    name: str
    counts: str
    seconds: int = 0
    period: str = ""


WINDOWS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
PERIODS: Final = ("day", "week", "month", "quarter", "lifetime")
COUNTED: Final = {"requests": "requests", "input_tokens": "input", "output_tokens": "output", "tokens": "total"}
LIMIT_UNITS: Final = {
    f"{name}_per_{window}": Unit(f"{name}_per_{window}", counts, seconds)
    for window, seconds in WINDOWS.items()
    for name, counts in COUNTED.items()
} | {"concurrent_requests": Unit("concurrent_requests", "concurrent")}
BUDGET_UNITS: Final = {
    f"{name}_per_{period}": Unit(f"{name}_per_{period}", counts, period=period)
    for period in PERIODS
    for name, counts in (("cost", "cost"), ("tokens", "total"))
}


@dataclass(frozen=True, slots=True)
class Form:
    """A type of manifest that rules come from.

    ``first``: of the rules of one manifest only the first that fits a call decides about it; otherwise all that fit
    must allow it. ``team``: it is a team's own.
    """

    name: str
    kind: Kind
    first: bool = False
    team: bool = False


FORMS: Final = {
    form.name: form
    for form in (
        Form("gateway-rate-limiting-config", "limit", first=True),
        Form("tenant-rate-limit-config/model", "limit"),
        Form("gateway-budget-config", "budget", first=True),
        Form("tenant-budget-config", "budget"),
        Form("team-budget-config", "budget", team=True),
        Form(routes.SPREAD, "routing", first=True),
        Form(routes.FALLBACK, "routing", first=True),
    )
}
UNITS: Final[dict[Kind, dict[str, Unit]]] = {"limit": LIMIT_UNITS, "budget": BUDGET_UNITS, "routing": {}}
MODES: Final[dict[Kind, tuple[str, ...]]] = {
    "limit": ("enforce", "audit"),
    "budget": ("enforce", "audit", "soft_enforce"),
    "routing": ("enforce", "audit"),
}
# The targets of a budget's alerts, and what each needs beside its channel.
TARGETS: Final = {
    "email": ("to_emails",),
    "slack-webhook": (),
    "slack-bot": ("channels",),
    "pagerduty": (),
    "ms-teams-webhook": (),
    "webhook": (),
}


def is_delivered(target: dict[str, Any]) -> bool:
    """Whether notices go to a target of a budget's alerts: to the webhook of the settings, a channel or addresses."""
    if target["type"] == "slack-bot":
        return False
    return target["type"] == "webhook" or bool(target.get("notification_channel") or target.get("to_emails"))


def known_or(name: str, known: Iterable[str]) -> str:
    """Return what to write instead of ``name``."""
    known = tuple(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Valid values: {', '.join(known)}."


def subject_of(written: str) -> str | None:
    """Return a subject in its one spelling (``*`` is everyone); ``None`` for what is not a valid one."""
    if written in ("*", "everyone", EVERYONE):
        return EVERYONE if written != "*" else "*"
    kind, colon, name = written.partition(":")
    if not colon or kind not in SUBJECTS or not name.strip():
        return None
    return f"{SUBJECTS[kind]}:{name.strip().lower() if kind == 'user' else name.strip()}"


# --- the faults of a rule ---


def faults_of(form: str, mode: str, when: Any, effect: Any) -> list[Fault]:
    """Return everything that is wrong with a rule, each with its path: ``when...``, ``effect...``, ``form``,
    ``mode``."""
    if form not in FORMS:
        return [("form", f"{form!r} is not a type of rule. {known_or(form, FORMS)}")]
    kind = FORMS[form].kind
    faults: list[Fault] = []
    if mode not in MODES[kind]:
        faults.append(("mode", f"{mode!r} is not a mode of a {kind}. {known_or(mode, MODES[kind])}"))
    faults += [(f"when{path}", problem) for path, problem in _when_faults(when)]
    found = routes.faults(form, effect) if kind == "routing" else _effect_faults(kind, effect)
    faults += [(f"effect{path}", problem) for path, problem in found]
    return faults


def _when_faults(when: Any) -> Iterator[Fault]:
    if not isinstance(when, dict):
        yield "", "Write an object: the parts are subjects, models, accounts and metadata."
        return
    for part, choice in when.items():
        if part not in PARTS:
            yield f".{part}", f"is not known. {known_or(str(part), PARTS)}"
        elif part != "metadata":
            yield from _choice_faults(f".{part}", choice, subjects=part == "subjects")
        elif not isinstance(choice, dict):
            yield ".metadata", 'Write keys with values: {"env": {"in": ["prod"]}}.'
        else:
            for key, values in choice.items():
                yield from _choice_faults(f".metadata.{key}", values)


def _choice_faults(path: str, choice: Any, *, subjects: bool = False) -> Iterator[Fault]:
    if not isinstance(choice, dict) or not choice:
        yield path, 'Write {"in": [...]}, {"not_in": [...]} or both.'
        return
    for side, names in choice.items():
        if side not in ("in", "not_in"):
            yield f"{path}.{side}", f"is not known. {known_or(str(side), ('in', 'not_in'))}"
        elif not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
            yield f"{path}.{side}", "Write a list of names."
        elif not names and side == "in":
            yield f"{path}.in", "is empty, so that the rule would fit no call. Name something, or leave it out."
        elif len(names) > MOST_NAMES:
            yield f"{path}.{side}", f"has more than {MOST_NAMES} names."
        elif subjects:
            for number, name in enumerate(names):
                if subject_of(name) is None:
                    fix = "Write user:EMAIL, team:NAME, team:everyone, virtualaccount:NAME or *."
                    yield f"{path}.{side}[{number}]", f"{name!r} is not a valid subject. {fix}"


EFFECT_FIELDS: Final[dict[Kind, tuple[str, ...]]] = {
    "limit": ("limits", "per", "overrides"),
    "budget": ("limits", "per", "overrides", "alerts", "raises", "cheaper"),
}


def _effect_faults(kind: Kind, effect: Any) -> Iterator[Fault]:
    if not isinstance(effect, dict):
        yield "", 'Write an object with limits: {"limits": {"requests_per_minute": 100}}.'
        return
    for name in effect:
        if name not in EFFECT_FIELDS[kind]:
            yield f".{name}", f"is not known. {known_or(str(name), EFFECT_FIELDS[kind])}"
    yield from _limits_faults(kind, ".limits", effect.get("limits"))
    per = effect.get("per", [])
    yield from _per_faults(kind, per)
    yield from _overrides_faults(kind, effect.get("overrides", []), counted_apart=bool(per))
    if kind == "budget":
        yield from _alerts_faults(effect.get("alerts"))
        yield from _raises_faults(effect.get("raises", []))
        yield from _cheaper_faults(effect.get("cheaper"))


def _limits_faults(kind: Kind, path: str, limits: Any) -> Iterator[Fault]:
    units = UNITS[kind]
    if not isinstance(limits, dict) or not limits:
        yield path, f"is missing: write at least one of {', '.join(units)}."
        return
    for name, amount in limits.items():
        if name not in units:
            yield f"{path}.{name}", f"is not a unit of a {kind}. {known_or(str(name), units)}"
        elif not _is_amount(amount):
            yield f"{path}.{name}", "Write a number of zero or more."
        elif units[name].counts != "cost" and amount != int(amount):
            yield f"{path}.{name}", "Write a whole number."
    periods = {units[name].period for name in limits if name in units}
    if "lifetime" in periods and len(periods) > 1:
        yield path, "cost_per_lifetime and tokens_per_lifetime exclude other periods."


def _is_amount(amount: Any) -> bool:
    number = isinstance(amount, int | float) and not isinstance(amount, bool)
    return number and math.isfinite(amount) and 0 <= amount <= LARGEST


def _per_faults(kind: Kind, per: Any) -> Iterator[Fault]:
    if not isinstance(per, list) or len(per) > MOST_PER:
        yield ".per", f"Write a list of at most {MOST_PER}."
        return
    if len(set(map(str, per))) < len(per):
        yield ".per", "names the same thing twice."
    for number, name in enumerate(per):
        key = isinstance(name, str) and name.startswith(METADATA) and len(name) > len(METADATA)
        if name not in DIMENSIONS and not key:
            fix = known_or(str(name), (*DIMENSIONS, f"{METADATA}KEY"))
            yield f".per[{number}]", f"{name!r} is not known. {fix}"


def _overrides_faults(kind: Kind, overrides: Any, *, counted_apart: bool) -> Iterator[Fault]:
    if not isinstance(overrides, list) or len(overrides) > MOST_OVERRIDES:
        yield ".overrides", f"Write a list of at most {MOST_OVERRIDES}."
        return
    if overrides and not counted_apart:
        yield ".overrides", "needs something that is counted apart: write per."
    for number, override in enumerate(overrides):
        path = f".overrides[{number}]"
        if not isinstance(override, dict) or set(override) != {"values", "limits"}:
            yield path, 'Write {"values": [...], "limits": {...}}.'
            continue
        if not _are_names(override["values"]):
            yield f"{path}.values", "Write a list of names."
        yield from _limits_faults(kind, f"{path}.limits", override["limits"])


def _are_names(values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(one, str) and one for one in values)


def _alerts_faults(alerts: Any) -> Iterator[Fault]:
    if alerts is None:
        return
    if not isinstance(alerts, dict) or not set(alerts) <= {"thresholds", "notification_target"}:
        yield ".alerts", "Write thresholds and notification_target."
        return
    thresholds = alerts.get("thresholds")
    if not isinstance(thresholds, list) or not all(_is_amount(one) and 0 < one <= 1000 for one in thresholds):
        yield ".alerts.thresholds", "Write a list of percentages, for example [75, 90, 100]."
    targets = alerts.get("notification_target", [])
    if not isinstance(targets, list):
        yield ".alerts.notification_target", "Write a list of targets."
        return
    for number, target in enumerate(targets):
        path = f".alerts.notification_target[{number}]"
        kind = target.get("type") if isinstance(target, dict) else None
        if not isinstance(kind, str) or kind not in TARGETS:
            yield f"{path}.type", f"{kind!r} is not known. {known_or(str(kind), TARGETS)}"
            continue
        for name in TARGETS[kind]:
            if not isinstance(target.get(name), list) or not target[name]:
                yield f"{path}.{name}", "is missing."


def _cheaper_faults(cheaper: Any) -> Iterator[Fault]:
    if cheaper is None:
        return
    if not isinstance(cheaper, dict) or set(cheaper) != {"from_percent", "target"}:
        yield (
            ".cheaper",
            'Write {"from_percent": 80, "target": "account/model"}: from how many percent of the budget on.',
        )
        return
    if not _is_amount(cheaper["from_percent"]) or not 0 < cheaper["from_percent"] <= 100:
        yield ".cheaper.from_percent", "Write a percentage above 0, 100 at most."
    if not isinstance(cheaper["target"], str) or not all(cheaper["target"].partition("/")):
        yield ".cheaper.target", "Write account/model."


def _raises_faults(raises: Any) -> Iterator[Fault]:
    if not isinstance(raises, list):
        yield ".raises", "Write a list."
        return
    for number, one in enumerate(raises):
        path = f".raises[{number}]"
        if not isinstance(one, dict) or not {"limits", "until"} <= set(one) <= {"limits", "until", "values"}:
            yield path, 'Write {"limits": {"cost_per_day": 20}, "until": "2027-01-31T00:00:00Z"}.'
            continue
        yield from _limits_faults("budget", f"{path}.limits", one["limits"])
        if "values" in one and not _are_names(one["values"]):
            yield f"{path}.values", "Write a list of names, or leave it out for all."
        if moment_of(one["until"]) is None:
            yield f"{path}.until", "Write a moment with its time zone: 2027-01-31T00:00:00Z."


def moment_of(written: Any) -> datetime | None:
    """Return a moment with a time zone; ``None`` for what is not one."""
    try:
        moment = datetime.fromisoformat(written)
    except (TypeError, ValueError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else None


# --- one spelling ---


def normal_when(when: dict[str, Any]) -> dict[str, Any]:
    """Return ``when`` in its one spelling: empty parts left out, subjects as they are matched, no name twice."""
    normal: dict[str, Any] = {}
    for part in PARTS:
        choice = when.get(part)
        if part == "metadata":
            chosen = {key: kept for key, values in (choice or {}).items() if (kept := _normal_choice(values))}
        else:
            chosen = _normal_choice(choice or {}, subjects=part == "subjects")
        if chosen:
            normal[part] = chosen
    return normal


def _normal_choice(choice: dict[str, Any], *, subjects: bool = False) -> dict[str, Any]:
    kept = {}
    for side in ("in", "not_in"):
        names = choice.get(side) or []
        if subjects:
            names = [subject_of(name) or name for name in names]
        if names and not (side == "in" and "*" in names):  # one of all narrows nothing
            kept[side] = list(dict.fromkeys(name.strip() for name in names))
    return kept


def normal_effect(effect: dict[str, Any]) -> dict[str, Any]:
    """Return ``effect`` without empty parts, with whole numbers as such. That of a routing rule stays as it is."""
    if "limits" not in effect:
        return effect
    normal: dict[str, Any] = {"limits": {name: plain(amount) for name, amount in effect["limits"].items()}}
    if effect.get("per"):
        normal["per"] = list(effect["per"])
    for name in ("overrides", "raises"):
        if effect.get(name):
            normal[name] = [
                {**one, "limits": {unit: plain(amount) for unit, amount in one["limits"].items()}}
                for one in effect[name]
            ]
    for name in ("alerts", "cheaper"):
        if effect.get(name):
            normal[name] = effect[name]
    return normal


def plain(amount: Any) -> int | float:
    """Return a number as JSON keeps it: whole where it is."""
    return int(amount) if amount == int(amount) else float(amount)
