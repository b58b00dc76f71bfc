"""Capability: a model answers only the kinds of call that it is registered for."""

from gateway.access.capability import refusal
from gateway.call.call import Call


async def admit(call: Call) -> None:
    """Refuse before any upstream call what the provider does not have, or the model is not registered for.

    The plan of a virtual model or a routing rule was made of targets that can take the call.
    """
    if call.plan.routed:
        return
    for planned in call.plan.targets:
        error = refusal(call.operation, planned.target.account, planned.target.model)
        if error is not None:
            raise error
