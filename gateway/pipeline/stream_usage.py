"""Upstreams that refuse a stream because of the ``stream_options`` that we add to it: asked once more without them.

What was learned so is kept for the process, by account and address. An account that never takes them can say so itself
(``stream_usage``); then no call is refused first.
"""

from gateway.call.call import Call
from gateway.call.reply import Reply
from providers.snapshot import AccountSnapshot

REFUSALS = frozenset({400, 422})
NAMES = (b"stream_options", b"include_usage")
_refusing: set[tuple[int, str]] = set()


def may_ask(call: Call, account: AccountSnapshot) -> bool:
    """Whether a stream is to be asked for its usage, which the caller did not ask for."""
    if call.wants_usage or not account.stream_usage:
        return False
    return not _refusing or (account.id, account.url) not in _refusing


def was_refused(reply: Reply) -> bool:
    """Whether an upstream refuses what :func:`may_ask` added, and says so by name."""
    return reply.status in REFUSALS and any(name in reply.body for name in NAMES)


def learn(account: AccountSnapshot, reply: Reply) -> None:
    """Ask the account no more, once a call came through without.

    Not before: a caller's own fault may name the option, too, and must not keep everybody's calls from being metered.
    """
    if reply.status < min(REFUSALS):
        _refusing.add((account.id, account.url))
