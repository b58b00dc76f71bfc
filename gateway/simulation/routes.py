"""Where recorded calls would have gone under other virtual models and routing rules.

Targets are taken to answer, but for one that failed in this very call as its records say. How quick they are is known
from the recorded answers before the call, and how busy from the calls that overlap it. What the records can't say is
not guessed: such calls are counted as not judged, with the reason.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from gateway.access.capability import refusal
from gateway.call import errors
from gateway.call.operation import Operation
from gateway.call.plan import PlannedTarget
from gateway.directory.accounts import unlisted_model
from gateway.objects import operations
from gateway.routing.health import LATENCY_SECONDS, Health, Sample
from gateway.routing.order import Seen, hashed, ordered
from providers.routing import shape
from providers.routing.compiled import FALLBACK_STATUSES, RoutedTarget, Routing
from providers.snapshot import AccountSnapshot, ByName, Target
from rules import spending
from rules.compiled import CompiledRule, RuleSet

AUDIT: Final = "audit"
UNKNOWN_CONTENT: Final = "complexity-based-routing goes by what calls say, which is not recorded"
ASSUMED: Final = (
    "Assumed: every target answers, but where it failed in that very call; none rests. Speed is that of the recorded "
    "answers of 20 minutes before.",
    "Sessions by header or prompt are not recorded: such calls are drawn one by one. Nor are objects that calls "
    "mention (files, earlier responses): calls that these keep where they are may be counted as moved.",
    "A call that goes elsewhere is taken to use as many tokens there.",
)
ROUTABLE: Final[dict[str, Operation]] = {
    each.name: each
    for each in reversed(vars(operations).values())
    if isinstance(each, Operation) and each.model_type in shape.MODEL_TYPES
}
"""Operations by the name that records have; of several the first."""
Price = Callable[[Mapping[str, Any], str], int | None]


class Went(NamedTuple):
    """Where a call would have gone: the last target that it would have been sent to, by what (a virtual model or
    rules), whether that one answers, and the virtual models that led to it. ``unjudged`` is why that can't be said."""

    target: str
    by: str
    answered: bool = True
    unjudged: str = ""
    via: tuple[str, ...] = ()


@dataclass(slots=True)
class Routes:
    """The routing that is tried: the accounts with their virtual models, and the rules. ``proposed`` are the virtual
    models that are tried; calls of the others go where they went."""

    accounts: ByName[AccountSnapshot]
    rules: RuleSet
    proposed: Collection[str] = ()
    _health: Health = field(default_factory=Health)
    _later: list[tuple[float, int, str, Sample | None]] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=count)

    def went(self, record: Mapping[str, Any], name: str = "", since: float = 0.0) -> Went | None:
        """Return where a recorded call would have gone, or have gone asking for ``name``; ``None`` where nothing that
        is tried routes it. The records must come in the order of their time, ``since`` their moment in seconds."""
        operation = ROUTABLE.get(record["operation"])
        asked = self._target(name or self._asked(record))
        if operation is None or asked is None or record.get("batch_key"):
            return None
        fitting = self.rules.routes.fitting(self._as_rules_see(record, asked)) if not name else []
        routing, by = self._routing(asked, fitting, always=bool(name))
        fallbacks = [rule for rule in fitting if rule.mode != AUDIT and rule.route and rule.route.fallbacks]
        if routing is None and not fallbacks:
            return None
        planned: list[PlannedTarget] = []
        if routing is not None:
            why = self._unjudged(routing, since)
            if why:
                return Went("", by, unjudged=why)
            planned = self._planned(routing, record, operation, since)
            if not planned:
                return Went("", by, answered=False)
        else:
            planned = [PlannedTarget(self._target(record["model_resolved"]) or asked)]
        went = self._tried([*planned, *self._fallbacks(fallbacks, record, operation, since)], record, by)
        return went if went.by else None

    def note(self, record: Mapping[str, Any], target: str, since: float) -> None:
        """Take a recorded call into what is known of its targets: how quick the one was that answered, and that the one
        it would have gone to is busy for as long."""
        end = since + record["latency_us"] / 1e6
        if target:
            self._health.began(target)
            heappush(self._later, (end, next(self._number), target, None))
        if record["status"] < 400 and record["model_resolved"] and record.get("attempts", 1) == 1:
            heappush(self._later, (end, next(self._number), record["model_resolved"], _sample(record, end)))

    def settle(self, moment: float) -> None:
        """Let come to an end what ended before a moment."""
        while self._later and self._later[0][0] <= moment:
            _, _, name, sample = heappop(self._later)
            if sample is None:
                self._health.ended(name)
            else:
                self._health.of(name).samples.append(sample)

    def _asked(self, record: Mapping[str, Any]) -> str:
        asked = str(record["model_asked"])
        return asked if asked.partition("/")[0] in self.accounts else f"{record['account']}/{asked}"

    def _target(self, name: str) -> Target | None:
        account_name, _, model_name = name.partition("/")
        account: AccountSnapshot | None = self.accounts.get(account_name)
        if account is None:
            return None
        model = account.models.get(model_name)
        if model is None and account.any_model and model_name:
            model = unlisted_model(account, model_name)
        return Target(account, model) if model is not None else None

    def _as_rules_see(self, record: Mapping[str, Any], asked: Target) -> Any:
        named = {"account": asked.account.name, "model_resolved": asked.model.public_name, "decision": {}}
        return spending.asked_of({**record, **named}, self.rules)

    def _routing(self, asked: Target, fitting: list[CompiledRule], *, always: bool) -> tuple[Routing | None, str]:
        routing, name = asked.model.routing, asked.model.public_name
        if routing is not None:
            named = {name, *(each for leaf in routing.leaves for each in leaf.via)}
            is_tried = always or not named.isdisjoint(self.proposed)
            return (routing, f"virtual model {name}") if is_tried else (None, "")
        for rule in fitting:
            if rule.route is not None and rule.route.routing is not None and rule.mode != AUDIT:
                return rule.route.routing, f"rule {rule.label}"
        return None, ""

    def _unjudged(self, routing: Routing, now: float) -> str:
        for each in _levels(routing):
            if each.type == shape.COMPLEXITY:
                return UNKNOWN_CONTENT
            if each.type == shape.LATENCY:
                names = [leaf.name for leaf in each.leaves]
                slow = [
                    name for name in names if self._health.of(name).median(now, LATENCY_SECONDS, first=False)[1] < 1
                ]
                if slow:
                    return f"how quick {slow[0]} was: no answer of it is recorded in the 20 minutes before"
        return ""

    def _planned(
        self, routing: Routing, record: Mapping[str, Any], operation: Operation, now: float
    ) -> list[PlannedTarget]:
        found: dict[int, Target] = {}
        fitting: list[RoutedTarget] = []
        for routed in routing.leaves:
            target = self._target(routed.name)
            if target is not None and not _unfit(routed, target, record, operation):
                price = _price(target, record)
                fitting.append(replace(routed, account=target.account.name, model=target.model.name, price=price))
                found[routed.place] = target
        call: Any = SimpleNamespace(
            caller=SimpleNamespace(key=f"{record['subject_type']}:{record['subject_name']}"),
            options=SimpleNamespace(metadata=record["metadata"]),
            session_headers={},
            body=SimpleNamespace(fields={}),
        )
        seen = Seen(self._health, now, hashed(str(record["id"])))
        order = ordered(routing, fitting, call, seen) if fitting else []
        return [
            PlannedTarget(
                found[each.place], failover_statuses=each.fallback_statuses or FALLBACK_STATUSES, via=each.via
            )
            for each in order
        ]

    def _fallbacks(
        self, rules: list[CompiledRule], record: Mapping[str, Any], operation: Operation, now: float
    ) -> Iterator[PlannedTarget]:
        seen: frozenset[int] = frozenset()
        for rule in rules:
            assert rule.route is not None  # the caller looked
            statuses, seen = rule.route.statuses - seen, seen | rule.route.statuses
            for routed in rule.route.fallbacks:
                alone = routed.inner or Routing(shape.PRIORITY, (routed,), (routed,))
                for each in self._planned(alone, record, operation, now):
                    yield PlannedTarget(each.target, failover_statuses=statuses, stage=rule.label, via=each.via)

    def _tried(self, planned: list[PlannedTarget], record: Mapping[str, Any], by: str) -> Went:
        """Return which of the targets answers, as far as the call's own failures are known."""
        failures: Mapping[str, int] = record.get("failures") or {}
        place = 0
        while (status := failures.get(planned[place].target.model.public_name)) is not None:
            later = range(place + 1, len(planned))
            following = next((n for n in later if planned[n].follows(status, planned[place])), None)
            if following is None:
                break
            place = following
        last = planned[place]
        whose = f"rule {last.stage}" if last.stage else by
        return Went(last.target.model.public_name, whose, status is None, via=last.via)


def _levels(routing: Routing) -> Iterator[Routing]:
    yield routing
    for target in routing.targets:
        if target.inner is not None:
            yield from _levels(target.inner)


def _unfit(routed: RoutedTarget, target: Target, record: Mapping[str, Any], operation: Operation) -> str:
    """Return why a target could not have taken a recorded call, as far as the record says; empty when it could."""
    account, model = target.account, target.model
    if routed.fault or account.vendor.virtual or not account.enabled or not model.enabled:
        return routed.fault or "is disabled"
    error = refusal(operation, account, model)
    if error is not None:
        return errors.message_of(error)
    if routed.model_types is not None and operation.model_type not in routed.model_types:
        return f"is not for {operation.model_type}"
    if any(record["metadata"].get(key) != value for key, value in routed.metadata):
        return "is for other metadata"
    if model.context_window and record["input_tokens"] > model.context_window:
        return "is too small"
    return ""


def _price(target: Target, record: Mapping[str, Any]) -> float:
    """Return what the call's tokens cost there, to order targets by; infinity where that is not known."""
    sheet = target.model.sheet
    units = {"input_tokens": max(1, record["input_tokens"]), "output_tokens": record["output_tokens"]}
    cost = sheet.cost(units, target.account.discount_bp) if sheet is not None else None
    return float("inf") if cost is None else float(cost)


def _sample(record: Mapping[str, Any], end: float) -> Sample:
    whole, tokens = record["latency_us"] / 1000, record["output_tokens"]
    first = record["ttft_us"] / 1000 if record["ttft_us"] is not None else None
    if first is not None and tokens > 1:
        return Sample(end, first, (whole - first) / (tokens - 1), whole)
    return Sample(end, first, whole / tokens if tokens else None, whole)
