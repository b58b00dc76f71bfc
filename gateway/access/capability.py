"""What a target can't be called for: its provider lacks the operation, or its model is not registered for it."""

from gateway.call.errors import InvalidRequest
from gateway.call.operation import Operation
from providers.dialects.conversions import passes, serves
from providers.snapshot import AccountSnapshot, ModelSnapshot


def refusal(operation: Operation, account: AccountSnapshot, model: ModelSnapshot) -> InvalidRequest | None:
    """Return the error for a call that the provider does not have or the model is not registered for, in the contract's
    words; ``None`` when the target can take it. A response of a provider without any is a chat.
    """
    wanted = operation.model_type
    if operation.resource in account.vendor.lacks:
        return _not_offered(operation, account, model)
    if not passes(operation.path, operation.door, account.vendor):
        if not operation.converts or not serves(operation.path, operation.door, account.vendor):
            return _not_offered(operation, account, model)
        wanted = "chat" if wanted == "responses" else wanted
    return type_refusal(wanted, model)


def _not_offered(operation: Operation, account: AccountSnapshot, model: ModelSnapshot) -> InvalidRequest:
    return InvalidRequest(
        f"The provider account {account.name!r} ({account.vendor.label}) does not offer {operation.path!r}"
        f"{'' if operation.converts else ' over a socket'}.",
        param="model" if model.name else "x-tfy-provider-name",
        code="unsupported_by_provider",
    )


def type_refusal(wanted: str, model: ModelSnapshot) -> InvalidRequest | None:
    """Return the error for a model that is not registered for the type ``wanted``."""
    if not wanted or not model.listed or wanted in model.model_types:
        return None
    return InvalidRequest(f"{wanted} is not supported for the model", param="model", code="unsupported_model_type")
