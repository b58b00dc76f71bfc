"""Rules as calls are matched with them: in memory, indexed by subject and model, so that a call only looks at rules
that may be for it, however many there are.

Names are matched as rules write them: ``user:ada@example.com``, ``team:search``, ``openai-main/gpt-4o``.
"""

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product
from operator import attrgetter
from typing import Final

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Count, Max, Sum

from rules import names, shape
from rules.asked import Asked, values_of
from rules.models import Rule
from rules.names import ModelNames
from rules.routes import Route, compile_route
from rules.shape import BUDGET_UNITS, FORMS, UNITS, Unit
from rules.unlisted import NamedModels

logger = logging.getLogger("rules")

PICO: Final = 10**12
SEPARATOR: Final = "\x1f"
MOST_PAIRS: Final = 64
"""A rule for more pairs of a subject and a model than this is filed under the shorter of the two lists."""
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)
"""What a row raises that a newer version wrote."""

Limits = Mapping[str, int]
"""Amounts by unit; money in pico-dollars."""
Revision = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Names that count (``None``: all) and names that don't."""

    among: frozenset[str] | None
    without: frozenset[str]

    def fits(self, names: Iterable[str], others: Iterable[str] = ()) -> bool:
        """Whether one of ``names`` or ``others`` counts, and none of ``names`` is left out."""
        among = self.among
        counts = among is None or not (among.isdisjoint(names) and among.isdisjoint(others))
        return counts and self.without.isdisjoint(names)


@dataclass(frozen=True, slots=True)
class Raised:
    """Other limits until a moment (unix seconds), for some values of the first dimension or for all."""

    until: float
    values: frozenset[str] | None
    limits: Limits


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """A rule, ready to be matched. ``order`` is its position among all of its kind, ``cheaper`` from how many percent
    on a budget sends calls where."""

    id: int
    label: str
    name: str
    form: str
    group: str
    order: int
    first: bool
    mode: str
    team: str
    subjects: Choice | None
    models: Choice | None
    accounts: Choice | None
    metadata: tuple[tuple[str, Choice], ...]
    per: tuple[str, ...]
    limits: Limits
    overrides: Mapping[str, Limits]
    raises: tuple[Raised, ...]
    thresholds: tuple[float, ...]
    route: Route | None = None
    cheaper: tuple[float, str] | None = None

    @property
    def named_models(self) -> Set[str]:
        """The models that the rule names: in what it counts, or with limits of their own."""
        among = self.models.among if self.models is not None and self.models.among is not None else frozenset()
        if self.per[:1] != ("model",):
            return among
        return among.union(self.overrides, *(raised.values or () for raised in self.raises))

    def may_name(self, accounts: tuple[str, ...]) -> bool:
        """Whether the rule distinguishes models of the account."""
        if self.models is not None and self.models.among is not None:
            return any(name.partition("/")[0] in accounts for name in self.models.among)
        return self.models is not None or "model" in self.per

    @property
    def periods(self) -> tuple[str, ...]:
        """The periods that a budget counts in, whichever of its limits names them."""
        every = (self.limits, *self.overrides.values(), *(raised.limits for raised in self.raises))
        return tuple(dict.fromkeys(BUDGET_UNITS[unit].period for limits in every for unit in limits))

    def fits(self, asked: Asked) -> bool:
        """Whether the rule is for the call."""
        if self.team and self.team not in asked.subjects:
            return False
        if self.subjects is not None and not self.subjects.fits(asked.subjects):
            return False
        if self.models is not None and not self.models.fits(asked.models, asked.variant_of):
            return False
        if self.accounts is not None and not self.accounts.fits(asked.accounts):
            return False
        return all(choice.fits((asked.metadata.get(key, ""),)) for key, choice in self.metadata)

    def entities(self, asked: Asked) -> list[tuple[str, ...]]:
        """Return what of the rule the call counts for: one empty entity where all is counted together.

        A rule that counts users apart says nothing about a virtual account's calls: no entity. Metadata that a call
        does not carry counts as empty, for all such calls together.
        """
        return list(product(*(self._values(dimension, asked) for dimension in self.per)))

    def _values(self, dimension: str, asked: Asked) -> tuple[str, ...]:
        if dimension == "model" and asked.variant_of and asked.model not in (named := self.named_models):
            return (next((name for name in asked.variant_of if name in named), asked.model),)
        return values_of(dimension, asked)

    def limits_of(self, entity: tuple[str, ...], now: float) -> Limits:
        """Return the limits that hold for an entity now."""
        limits = self.limits
        if not entity and not self.raises:
            return limits
        first = entity[0] if entity else ""
        if first in self.overrides:
            limits = {**limits, **self.overrides[first]}
        for raised in self.raises:
            if now < raised.until and (raised.values is None or first in raised.values):
                limits = {**limits, **raised.limits}
        return limits


Key = tuple[str, ...]


Counting = tuple[CompiledRule, tuple[str, ...], Unit, int]


class RuleIndex:
    """The rules of one kind, each filed under what a call must have for it."""

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        self.rules = {rule.id: rule for rule in rules}
        self._filed: dict[Key, list[CompiledRule]] = {}
        self._rest: list[CompiledRule] = []
        self._metadata_keys: set[str] = set()
        for rule in self.rules.values():
            keys = self._keys(rule)
            for key in keys:
                self._filed.setdefault(key, []).append(rule)
            if not keys:
                self._rest.append(rule)

    def fitting(self, asked: Asked) -> list[CompiledRule]:
        """Return every rule that is for the call, in order."""
        found = {rule.id: rule for rule in self._candidates(asked) if rule.fits(asked)}
        return sorted(found.values(), key=attrgetter("order"))

    def deciding(self, asked: Asked) -> list[CompiledRule]:
        """Return the rules that decide about the call: of a configuration with several only the first that fits."""
        rules, groups = [], set()
        for rule in self.fitting(asked):
            if rule.first:
                if (rule.form, rule.group) in groups:
                    continue
                groups.add((rule.form, rule.group))
            rules.append(rule)
        return rules

    def _keys(self, rule: CompiledRule) -> list[Key]:
        """Return what the rule is filed under: one of these every call has that it fits. None: it may fit any."""
        subjects = {rule.team} if rule.team else rule.subjects.among if rule.subjects else None
        models = rule.models.among if rule.models else None
        if subjects and models and len(subjects) * len(models) <= MOST_PAIRS:
            return [("pair", subject, model) for subject in subjects for model in models]
        if subjects and (not models or len(subjects) <= len(models)):
            return [("subject", subject) for subject in subjects]
        if models:
            return [("model", model) for model in models]
        if rule.accounts and rule.accounts.among:
            return [("account", account) for account in rule.accounts.among]
        for key, choice in rule.metadata:
            if choice.among:
                self._metadata_keys.add(key)
                return [("metadata", key, value) for value in choice.among]
        return []

    def _candidates(self, asked: Asked) -> list[CompiledRule]:
        filed = self._filed
        found = list(self._rest)
        if not filed:
            return found
        models = (*asked.models, *asked.variant_of)
        for subject in asked.subjects:
            found += filed.get(("subject", subject), ())
            for model in models:
                found += filed.get(("pair", subject, model), ())
        for model in models:
            found += filed.get(("model", model), ())
        for account in asked.accounts:
            found += filed.get(("account", account), ())
        for key in self._metadata_keys:
            found += filed.get(("metadata", key, asked.metadata.get(key, "")), ())
        return found


class RuleSet:
    """All rules that are enabled. ``metadata_keys`` are those of calls' metadata that any of them looks at, ``names``
    those by which they may know what records name otherwise, ``named`` the models that they name. ``counts`` says that
    there are limits or budgets, ``routes`` are the routing rules, ``cheaper`` that a budget has a cheaper target.
    """

    def __init__(
        self,
        rules: Iterable[CompiledRule],
        revision: Revision,
        names: ModelNames = ModelNames(),  # noqa: B008 - frozen
    ) -> None:
        rules = list(rules)
        self.names = names
        self.named = NamedModels({name for rule in rules for name in rule.named_models})
        self.limits = RuleIndex(rule for rule in rules if FORMS[rule.form].kind == "limit")
        self.budgets = RuleIndex(rule for rule in rules if FORMS[rule.form].kind == "budget")
        self.routes = RuleIndex(rule for rule in rules if rule.route is not None)
        self.counts = bool(self.limits.rules or self.budgets.rules)
        self.cheaper = any(rule.cheaper is not None for rule in rules)
        self.revision = revision
        keys = {key for rule in rules for key, _ in rule.metadata}
        keys |= {one.removeprefix(shape.METADATA) for rule in rules for one in rule.per if "." in one}
        self.metadata_keys = tuple(sorted(keys))
        self._raise_ends = sorted(raised.until for rule in rules for raised in rule.raises)

    def counting(self, asked: Asked, now: float) -> Iterator[Counting]:
        """Yield every limit that counts the call, rate limits first: the rule, for what of it, unit and amount."""
        for index in (self.limits, self.budgets):
            for rule in index.deciding(asked):
                units = UNITS[FORMS[rule.form].kind]
                for entity in rule.entities(asked):
                    for name, amount in rule.limits_of(entity, now).items():
                        yield rule, entity, units[name], amount

    def by_model(self, asked: Asked) -> CompiledRule | None:
        """Return a rule that looks at the model, and may be for a call of which only the account is known."""
        for index in (self.limits, self.budgets):
            for rule in index.rules.values():
                if rule.mode != "audit" and rule.may_name(asked.accounts) and replace(rule, models=None).fits(asked):
                    return rule
        return None

    def variants(self, account: str, name: str) -> tuple[str, ...]:
        """Return of which models that rules name ``name`` (``account/model``) may be a variant that no one listed."""
        found = self.names.open_accounts.get(account)
        model = name.partition("/")[2]
        if found is None or model in found.listed:
            return ()
        return self.named.meant_by((account, *self.names.of_account(account)), model, found.price_source)

    def with_routes(self, change: Callable[[Route], Route]) -> "RuleSet":
        """Return the rules with what ``change`` makes of each routing rule's effect; itself where that is the same."""
        changed = {}
        for rule in self.routes.rules.values():
            route = change(rule.route) if rule.route is not None else None
            if route != rule.route:
                changed[rule.id] = replace(rule, route=route)
        if not changed:
            return self
        made = copy.copy(self)
        made.routes = RuleIndex(changed.get(rule.id, rule) for rule in self.routes.rules.values())
        return made

    def stable_until(self, now: float) -> float:
        """Return until when limits stay as they are at ``now``: the end of the next raise, in unix seconds."""
        return next((end for end in self._raise_ends if end > now), float("inf"))

    def __bool__(self) -> bool:
        return self.counts or bool(self.routes.rules)


def compile_rule(rule: Rule, order: int = 0) -> CompiledRule:
    """Return a row as calls are matched with it. Raises what ``UNREADABLE`` names for a row that is not understood."""
    when, effect = rule.when, rule.effect
    kind = FORMS[rule.form].kind
    units = UNITS[kind]
    choices = {part: _choice(when[part]) if part in when else None for part in ("subjects", "models", "accounts")}
    return CompiledRule(
        id=rule.pk or 0,
        label=str(rule),
        name=rule.name,
        form=rule.form,
        group=rule.group,
        order=order,
        first=FORMS[rule.form].first,
        mode=rule.mode,
        team=f"team:{rule.team.name}" if rule.team else "",
        metadata=tuple((key, _choice(choice)) for key, choice in when.get("metadata", {}).items()),
        per=tuple(effect.get("per", ())),
        limits=_amounts(effect["limits"], units) if kind != "routing" else {},
        overrides={
            value: _amounts(one["limits"], units) for one in effect.get("overrides", ()) for value in one["values"]
        },
        raises=tuple(_raised(one, units) for one in effect.get("raises", ())),
        thresholds=tuple(sorted(effect.get("alerts", {}).get("thresholds", ()))),
        cheaper=(float(effect["cheaper"]["from_percent"]), effect["cheaper"]["target"])
        if "cheaper" in effect
        else None,
        route=compile_route(effect) if kind == "routing" else None,
        **choices,
    )


def _choice(choice: dict[str, list[str]]) -> Choice:
    among = choice.get("in")
    return Choice(frozenset(among) if among is not None else None, frozenset(choice.get("not_in", ())))


def _amounts(limits: dict[str, int | float], units: Mapping[str, Unit]) -> dict[str, int]:
    return {
        name: int(Decimal(str(amount)) * PICO) if units[name].counts == "cost" else int(amount)
        for name, amount in limits.items()
    }


def _raised(one: dict[str, object], units: Mapping[str, Unit]) -> Raised:
    until = shape.moment_of(one["until"])
    assert until is not None  # no row is saved without
    values = one.get("values")
    limits = one["limits"]
    assert isinstance(limits, dict)
    return Raised(until.timestamp(), frozenset(values) if isinstance(values, list) else None, _amounts(limits, units))


def load(rows: Iterable[Rule] | None = None, using: str = DEFAULT_DB_ALIAS, known: ModelNames | None = None) -> RuleSet:
    """Return the enabled rules of the tables, or ``rows``; they may use the ``known`` names, by default the tables'.

    One that this version does not understand is left out.
    """
    revision = current_revision(using) if rows is None else (0, 0, 0)
    stored = Rule.objects.using(using).filter(enabled=True).select_related("team")
    found = stored if rows is None else rows
    compiled = []
    for order, rule in enumerate(found):
        try:
            compiled.append(compile_rule(rule, order))
        except UNREADABLE as error:
            logger.error(
                "The rule %s is left out: a newer version may have written it (%s).", rule, type(error).__name__
            )
    return RuleSet(compiled, revision, names.load(using) if known is None else known)


def current_revision(using: str = DEFAULT_DB_ALIAS) -> Revision:
    """Return what changes with every change of any rule, or of the names that rules may use.

    How many rules there are, their versions' sum and the newest id, and what :func:`rules.names.revision` says.
    """
    found = Rule.objects.using(using).aggregate(count=Count("id"), versions=Sum("version"), newest=Max("id"))
    return found["count"], found["versions"] or 0, found["newest"] or 0, *names.revision(using)
