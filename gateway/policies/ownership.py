"""Ownership: the objects that a call mentions must be the caller's to use."""

from gateway.call.call import Call
from gateway.objects import ownership


async def admit(call: Call) -> None:
    """Refuse ids of objects that the caller may not know of, or that live on another account than the preferred target's."""
    if call.references:
        await ownership.check_references(call, call.plan.first.account)
