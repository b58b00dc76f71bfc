"""Ownership: the objects that a call mentions must be the caller's to use."""

from gateway.call.call import Call
from gateway.objects import history, ownership
from providers.snapshot import AccountSnapshot


async def admit(call: Call) -> None:
    """Refuse ids of objects that the caller may not know of, or that live on another account than the preferred
    target's.

    Complete items of a conversation that was made on another account of the caller's go on without the ids that live
    there.
    """
    await check(call, call.plan.first.account)


async def check(call: Call, account: AccountSnapshot) -> None:
    """Refuse as :func:`admit` does, for one account."""
    fields, call.references = await history.for_account(call, account)
    call.body.replace(fields)
    if call.references:
        await ownership.check_references(call, account)
