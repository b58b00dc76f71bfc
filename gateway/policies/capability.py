"""Capability: a model answers only the kinds of call that it is registered for."""

from collections.abc import Awaitable, Callable

from gateway.call.call import Call
from gateway.call.errors import InvalidRequest
from gateway.call.reply import Reply


async def policy(call: Call, proceed: Callable[[Call], Awaitable[Reply]]) -> Reply:
    """Refuse before any upstream call what the model is not registered for, in the contract's words."""
    wanted = call.operation.model_type
    for target in call.targets:
        if wanted and target.model.listed and wanted not in target.model.model_types:
            raise InvalidRequest(
                f"{wanted} is not supported for the model", param="model", code="unsupported_model_type"
            )
    return await proceed(call)
