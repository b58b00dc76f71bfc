"""The plan of a call of a virtual model: the targets that can take it, in the order of its routing.

A caller of the virtual model reaches its targets through it; who writes its routing must manage their accounts.
"""

import math
import random
from dataclasses import replace
from typing import Final

from gateway.access.capability import refusal, type_refusal
from gateway.call import errors
from gateway.call.call import Call
from gateway.call.plan import Plan, PlannedTarget
from gateway.directory.accounts import unlisted_model
from gateway.objects import ownership
from gateway.routing.allowance import hedges, retries
from gateway.routing.health import KEY_REFUSED, health
from gateway.routing.hedging import may_hedge
from gateway.routing.order import ordered
from gateway.state import state
from providers.pricing.sheet import BASIS_POINTS
from providers.routing.compiled import FALLBACK_STATUSES, RoutedTarget, Routing
from providers.snapshot import ModelSnapshot, Target

BYTES_A_TOKEN: Final = 8
"""More than the tokens of any text have on the average."""
TEXT_BYTES_A_TOKEN: Final = 4
ANSWER_TOKENS: Final = 300
WRITING: Final = frozenset({"chat", "completion", "responses"})
BINARY: Final = (b"base64", b"input_audio", b"file_data", b"inlineData", b"inline_data")
"""What comes beside images and audio, whose bytes are not text: in OpenAI's, Anthropic's and Google's bodies."""
ESCAPE: Final = b"\\u"
ESCAPE_BYTES: Final = 6


async def plan_of_virtual(call: Call, model: ModelSnapshot) -> Plan:
    """Return the plan of a call of ``model``, which has a routing.

    Objects that the call mentions bind it to the account that they live on. Raises
    :class:`~gateway.call.errors.InvalidRequest` for what the virtual model is not registered for, and
    :class:`~gateway.call.errors.Unavailable` when no target can take the call, with the reason of each.
    """
    assert model.routing is not None  # the caller looked
    error = type_refusal(call.operation.model_type, model)
    if error is not None:
        raise error
    return await plan_of_routing(call, model.routing, f"the virtual model {model.public_name!r}")


async def plan_of_routing(call: Call, routing: Routing, whose: str) -> Plan:
    """Return the plan of a call that ``routing`` is for: of its targets that can take the call, in its order.

    ``whose`` says for messages what the routing belongs to. Raises :class:`~gateway.call.errors.Unavailable`.
    """
    home = await ownership.home_of(call)
    skipped: list[str] = []
    planned = planned_targets(call, routing, home, skipped)
    if not planned:
        raise errors.Unavailable(
            f"No target of {whose} can take this call. {'; '.join(skipped)}.",
            code="no_target_available",
        )
    note_skipped(call, skipped)
    _note_resting(call, planned)
    mirror = routing.mirror
    if mirror is not None and (home or random.random() * 100 >= routing.mirror_percent):
        mirror = None
    hedge = routing.hedge if routing.hedge is not None and may_hedge(call, home) else None
    return Plan(planned, routed=True, mirror=mirror, hedge=hedge, retry_share=routing.retry_bound)


def planned_targets(call: Call, routing: Routing, home: str, skipped: list[str]) -> tuple[PlannedTarget, ...]:
    """Return the targets of ``routing`` that can take the call, each once, in its order; the others go to ``skipped``,
    with why."""
    fitting: list[RoutedTarget] = []
    found: dict[int, Target] = {}
    is_priced = routing.is_priced
    for routed in routing.leaves:
        target = target_of(routed)
        reason = unfit(call, routed, target, home)
        if target is None or reason:
            skipped.append(f"{routed.way}: {reason}")
            continue
        routed = _renamed(routed, target)
        fitting.append(replace(routed, price=_price(call, target)) if is_priced else routed)
        found[routed.place] = target
    once: dict[str, RoutedTarget] = {}
    for routed in ordered(routing, fitting, call) if fitting else ():
        once.setdefault(routed.name, routed)
    return tuple(planned_target(call, routed, found[routed.place]) for routed in once.values())


def note_skipped(call: Call, skipped: list[str]) -> None:
    """Let the call's records say which targets were left out, each with the reason."""
    if skipped:
        call.decision = {**call.decision, "skipped": [*call.decision.get("skipped", ()), *skipped]}


def _note_resting(call: Call, planned: tuple[PlannedTarget, ...]) -> None:
    """Let the call's records say which targets are behind others because they failed."""
    names = [each.target.model.public_name for each in planned]
    resting = [name for name in names if health.of(name).ejected]
    if resting:
        said = [f"{name}: failed with {health.of(name).cause}" for name in resting]
        call.decision = {**call.decision, "resting": said}


def target_of(routed: RoutedTarget) -> Target | None:
    """Return what a target's name means now; ``None`` when it is not there."""
    account = state.directory.accounts.get(routed.account)
    if account is None or account.vendor.virtual:
        return None
    model = account.models.get(routed.model)
    if model is None and account.any_model:
        model = unlisted_model(account, routed.model)
    return Target(account, model) if model is not None else None


def forget_targets() -> None:
    """Drop what is known of targets that no virtual model and no routing rule names any more.

    Runs in the event loop after each change of the snapshot.
    """
    virtual = [account for account in state.directory.accounts.values() if account.vendor.virtual]
    routings = [model.routing for account in virtual for model in account.models.values() if model.routing is not None]
    routed = [each for routing in routings for each in routing.targets]  # what is behind them are others' targets
    rules = state.directory.rules
    routes = [rule.route for rule in rules.routes.rules.values() if rule.route is not None] if rules is not None else []
    for route in routes:
        routed += (*(route.routing.targets if route.routing is not None else ()), *route.fallbacks)
    targets = [target_of(each) for each in routed]
    kept = {target.model.public_name for target in targets if target is not None}
    health.forget(kept)
    hedges.forget(kept)
    retries.forget(kept)


def _renamed(routed: RoutedTarget, target: Target) -> RoutedTarget:
    """Return a target by its present name, which the configuration may not know: its health goes by that."""
    if routed.name == target.model.public_name:
        return routed
    return replace(routed, account=target.account.name, model=target.model.name)


def unfit(call: Call, routed: RoutedTarget, target: Target | None, home: str) -> str:
    """Return why a target can't take the call, empty when it can."""
    if routed.fault or routed.barred:
        return routed.fault or routed.barred
    if target is None:
        return "is not there"
    if not target.account.enabled or not target.model.enabled:
        return "is disabled"
    error = refusal(call.operation, target.account, target.model)
    if error is not None:
        return errors.message_of(error)
    if routed.model_types is not None and call.operation.model_type not in routed.model_types:
        return f"is reached through a virtual model that is not for {call.operation.model_type}"
    if any(call.options.metadata.get(key) != value for key, value in routed.metadata):
        return "is for other metadata"
    if home and home != target.account.name:
        return f"has not the objects that the call mentions (they are on {home})"
    if _too_long(call, target.model):
        return f"takes {target.model.context_window} tokens at most"
    return ""


def _too_long(call: Call, model: ModelSnapshot) -> bool:
    """Whether a text-only body is surely longer than the model's context."""
    window, raw = model.context_window, call.body.raw
    if not window or len(raw) <= window * BYTES_A_TOKEN:
        return False
    text = call.body.seen
    length = len(raw) - text.count(ESCAPE) * (ESCAPE_BYTES - 1)
    return length > window * BYTES_A_TOKEN and not any(mark in text for mark in BINARY)


def _price(call: Call, target: Target) -> float:
    """Return what the call's input and a middling answer would cost there, in pico-dollars; infinity: not known."""
    sheet, size = target.model.sheet, len(call.body.raw) // TEXT_BYTES_A_TOKEN
    units = {"input_tokens": max(1, size)}
    if call.operation.model_type in WRITING:
        units["output_tokens"] = ANSWER_TOKENS
    factor = (BASIS_POINTS + target.model.surcharge_bp, BASIS_POINTS)
    cost = sheet.cost(units, target.account.discount_bp, factor) if sheet is not None else None
    return math.inf if cost is None else cost


def planned_target(call: Call, routed: RoutedTarget, target: Target) -> PlannedTarget:
    """Return a target as the call tries it."""
    options = call.options
    retry_statuses = routed.retry_statuses if routed.retries is not None else options.retry_statuses
    return PlannedTarget(
        target,
        retries=routed.retries if routed.retries is not None else options.retries,
        retry_statuses=retry_statuses - KEY_REFUSED,  # a key that is refused stays so
        failover_statuses=FALLBACK_STATUSES if routed.fallback_statuses is None else routed.fallback_statuses,
        delay=routed.delay,
        params=routed.params,
        set_headers=routed.set_headers,
        removed_headers=routed.removed_headers,
        via=routed.via,
    )
