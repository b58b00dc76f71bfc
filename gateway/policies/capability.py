"""Capability: a model answers only the kinds of call that it is registered for."""

from gateway.call.call import Call
from gateway.call.errors import InvalidRequest
from providers.dialects.conversions import passes, serves


async def admit(call: Call) -> None:
    """Refuse before any upstream call what the provider does not have, or the model is not registered for, in the
    contract's words. A response of a provider without any is a chat.
    """
    operation = call.operation
    for planned in call.plan.targets:
        account, model = planned.target.account, planned.target.model
        wanted = operation.model_type
        if not passes(operation.path, operation.door, account.vendor):
            if not serves(operation.path, operation.door, account.vendor):
                raise InvalidRequest(
                    f"The provider account {account.name!r} ({account.vendor.label}) does not offer "
                    f"{operation.path!r}.",
                    param="model" if call.model_asked else "x-tfy-provider-name",
                    code="unsupported_by_provider",
                )
            wanted = "chat" if wanted == "responses" else wanted
        if wanted and model.listed and wanted not in model.model_types:
            raise InvalidRequest(
                f"{wanted} is not supported for the model", param="model", code="unsupported_model_type"
            )
