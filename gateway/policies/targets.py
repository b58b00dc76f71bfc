"""Targets: the model or account that a call names, resolved to what it is sent to."""

from collections.abc import Awaitable, Callable

from gateway.access.accounts import account_of, no_model
from gateway.access.models import resolve
from gateway.call.call import Call
from gateway.call.reply import Reply
from providers.snapshot import ModelSnapshot, Target


async def policy(call: Call, proceed: Callable[[Call], Awaitable[Reply]]) -> Reply:
    """Resolve the model or account that the call names into targets; refuse what the caller may not use."""
    if call.model_asked:
        target = resolve(call.caller, call.model_asked, call.options.provider_name)
        if not target.model.listed and target.model.upstream_id.startswith("ft:"):
            call.references.append(("model", target.model.upstream_id))  # it has an owner, whom the records know
        call.targets = (target,)
    else:
        account = account_of(call.caller, call.account_name)
        known = call.notes.get("model")  # what an object's record tells
        call.targets = (Target(account, known if isinstance(known, ModelSnapshot) else no_model(account)),)
    return await proceed(call)
