"""The policies, in their order: each is a file with one function ``(call, proceed)``.

A policy may refuse by raising, answer early, or wrap the reply. A new one is a file and a line here; its position in
``POLICIES`` is its position in the life of a call.
"""

from collections.abc import Awaitable, Callable

from gateway.call.call import Call
from gateway.call.reply import Reply
from gateway.policies import capability, ownership, targets

Proceed = Callable[[Call], Awaitable[Reply]]
Policy = Callable[[Call, Proceed], Awaitable[Reply]]

POLICIES: tuple[Policy, ...] = (targets.policy, capability.policy, ownership.policy)


def compose(policies: tuple[Policy, ...], last: Proceed) -> Proceed:
    """Return one function that runs ``policies`` in order and then ``last``."""
    chain = last
    for policy in reversed(policies):
        chain = _link(policy, chain)
    return chain


def _link(policy: Policy, proceed: Proceed) -> Proceed:
    async def linked(call: Call) -> Reply:
        return await policy(call, proceed)

    return linked
