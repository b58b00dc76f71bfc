"""The plan of a call of a virtual model: the targets that can take it, in the order of its routing.

A caller of the virtual model reaches its targets through it; who writes its routing must manage their accounts.
"""

from typing import Final

from gateway.access.capability import refusal
from gateway.call import errors
from gateway.call.call import Call
from gateway.call.plan import Plan, PlannedTarget, Skipped
from gateway.directory.accounts import unlisted_model
from gateway.objects import ownership
from gateway.routing.order import ordered
from gateway.state import state
from providers.routing.compiled import RoutedTarget
from providers.snapshot import ModelSnapshot, Target

BYTES_A_TOKEN: Final = 4


async def plan_of_virtual(call: Call, model: ModelSnapshot) -> Plan:
    """Return the plan of a call of ``model``, which has a routing.

    Objects that the call mentions bind it to the account that they live on. Raises
    :class:`~gateway.call.errors.Unavailable` when no target can take the call, with the reason of each.
    """
    routing = model.routing
    assert routing is not None  # the caller looked
    home = await ownership.home_of(call)
    found: dict[str, Target] = {}
    skipped: list[Skipped] = []
    for routed in routing.targets:
        target = _target_of(routed)
        reason = _unfit(call, routed, target, home)
        if target is None or reason:
            skipped.append(Skipped(routed.name, reason))
        else:
            found[routed.name] = target
    if not found:
        reasons = "; ".join(f"{each.name}: {each.reason}" for each in skipped)
        raise errors.Unavailable(
            f"No target of the virtual model {model.public_name!r} can take this call. {reasons}.",
            code="no_target_available",
        )
    order = ordered(routing, [routed for routed in routing.targets if routed.name in found], call)
    return Plan(tuple(_planned(call, routed, found[routed.name]) for routed in order), virtual=model, skipped=skipped)


def _target_of(routed: RoutedTarget) -> Target | None:
    account = state.directory.accounts.get(routed.account)
    if account is None or account.vendor.virtual:
        return None
    model = account.models.get(routed.model)
    if model is None and account.any_model:
        model = unlisted_model(account, routed.model)
    return Target(account, model) if model is not None else None


def _unfit(call: Call, routed: RoutedTarget, target: Target | None, home: str) -> str:
    """Return why a target can't take the call, empty when it can."""
    if target is None:
        return "is not there"
    if not target.account.enabled or not target.model.enabled:
        return "is disabled"
    error = refusal(call.operation, target.account, target.model)
    if error is not None:
        return errors.message_of(error)
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
    return window is not None and len(raw) > window * BYTES_A_TOKEN * 2 > 0 and b";base64," not in raw


def _planned(call: Call, routed: RoutedTarget, target: Target) -> PlannedTarget:
    options = call.options
    return PlannedTarget(
        target,
        retries=routed.retries if routed.retries is not None else options.retries,
        retry_statuses=routed.retry_statuses if routed.retries is not None else options.retry_statuses,
        failover_statuses=routed.fallback_statuses,
        delay=routed.delay,
        params=routed.params,
        set_headers=routed.set_headers,
        removed_headers=routed.removed_headers,
    )
