"""Capability: a model answers only the kinds of call that it is registered for."""

from gateway.call.call import Call
from gateway.call.errors import InvalidRequest


async def admit(call: Call) -> None:
    """Refuse before any upstream call what the model is not registered for, in the contract's words."""
    wanted = call.operation.model_type
    for planned in call.plan.targets:
        model = planned.target.model
        if wanted and model.listed and wanted not in model.model_types:
            raise InvalidRequest(
                f"{wanted} is not supported for the model", param="model", code="unsupported_model_type"
            )
