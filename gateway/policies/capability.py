"""Capability: a model answers only the kinds of call that it is registered for."""

from gateway.access.capability import refusal, type_refusal
from gateway.call.call import Call


async def admit(call: Call) -> None:
    """Refuse before any upstream call what the provider does not have, or the model is not registered for."""
    virtual = call.plan.virtual
    if virtual is not None:
        error = type_refusal(call.operation.model_type, virtual)
        if error is not None:
            raise error
    for planned in call.plan.targets:
        error = refusal(call.operation, planned.target.account, planned.target.model)
        if error is not None:
            raise error
