"""Access: the model or account that a call names becomes its plan; what the caller may not use is refused."""

from collections.abc import Mapping

import msgspec

from gateway.access import named_models
from gateway.access.accounts import account_of, no_model
from gateway.access.models import resolve
from gateway.body.model_fields import SAID_BY_DOOR, SAID_FIELDS
from gateway.body.references import find_references
from gateway.call.by_size import by_size
from gateway.call.call import Call
from gateway.call.errors import Forbidden
from gateway.call.plan import Plan, PlannedTarget
from gateway.routing.plan import plan_of_virtual
from gateway.routing.rules import plan_by_rules
from gateway.state import state
from providers.snapshot import Target


async def admit(call: Call) -> None:
    """Make the call's plan. A plan that the describing stage made already, of targets that it resolved, stays: a
    socket's goes to no other target.

    Other models that the body names become the preferred target's own.

    Raises :class:`~gateway.call.errors.ModelNotFound`, :class:`~gateway.call.errors.NotFound`,
    :class:`~gateway.call.errors.InvalidRequest` and :class:`~gateway.call.errors.Forbidden`.
    """
    if not call.plan.targets:
        target = _named_model(call) if call.model_asked else _named_account(call)
        virtual = target.model.routing is not None
        call.plan = await plan_of_virtual(call, target.model) if virtual else plan_of(call, target)
        rules = state.directory.rules
        if rules is not None and rules.routes.rules:
            call.plan = await plan_by_rules(call, target, call.plan, rules)
        if len(call.plan.targets) > 1 or call.plan.mirror is not None or (rules is not None and rules.cheaper):
            call.as_asked = (call.body.copy(), list(call.references))  # for another target, if it comes to that
    await fit(call, call.plan.targets[0])


async def fit(call: Call, planned: PlannedTarget) -> None:
    """Make the call's body what the target takes: the models that it names, and the fields that its routing sets.

    Raises as :func:`admit` does.
    """
    if call.body.fields:
        await by_size(call.body.size, _fit, call, planned)


def _fit(call: Call, planned: PlannedTarget) -> None:
    if not call.operation.resource:
        named_models.check_configuration(call.caller, planned.target.account, call.body.fields)
    said = SAID_BY_DOOR.get(call.operation.door, SAID_FIELDS)
    body, seen = call.body, call.body.seen_fields
    fields, named = named_models.for_account(call.caller, planned.target.account, seen, said)
    if fields is seen:
        fields = body.fields
    elif seen is not body.fields:  # what names models is written again, so that it has to be whole
        fields, named = named_models.for_account(call.caller, planned.target.account, body.fields, said)
    if planned.params:
        fields = {**fields, **_checked(call, planned, said)}
    body.replace(fields)
    call.references += named_models.references_to(named)


def _checked(call: Call, planned: PlannedTarget, said: frozenset[str]) -> Mapping[str, msgspec.Raw]:
    """Return what the routing sets. A second line: what names objects or models is refused when it is saved, and its
    target left out when it is loaded."""
    params, operation = planned.params, call.operation
    named_models.for_account(call.caller, planned.target.account, params, said)
    if find_references(b",".join(params.values()), params, "", operation.door):
        raise Forbidden(
            f"The routing of this model sets parameters for {planned.target.model.public_name} that name objects at "
            "the provider. Who manages the virtual model must take them out.",
            code="override_not_allowed",
        )
    return params


def plan_of(call: Call, target: Target) -> Plan:
    """Return the plan that tries ``target``, as often as the caller asks."""
    return Plan((PlannedTarget(target, call.options.retries, call.options.retry_statuses),))


def _named_model(call: Call) -> Target:
    target = resolve(call.caller, call.model_asked, call.account_name)
    call.references += named_models.references_to([target.model])
    return target


def _named_account(call: Call) -> Target:
    account = account_of(call.caller, call.account_name)
    return Target(account, call.payer or no_model(account))
