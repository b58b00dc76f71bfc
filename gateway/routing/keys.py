"""Which of an account's keys a call uses, where it has several.

A caller stays with one, so that the provider's prompt cache serves it. One that is refused (401) rests, one that is at
its limit (429) rests for that model, and the call goes on with the next; a 403 may be the call's own, so its key does
not rest.
"""

from collections.abc import Collection
from time import monotonic
from typing import Final
from zlib import crc32

from gateway.routing.health import health
from providers.snapshot import Target

MOVING: Final = frozenset({401, 403, 429})
RESTING: Final = frozenset({401, 429})


def choose(target: Target, caller: str, tried: Collection[str] = ()) -> tuple[Target, bool]:
    """Return the target with the key that the caller's call uses next, and whether another may follow it.

    ``tried`` are the names of keys that the call has used. When all others rest, it is the one that rests shortest.
    """
    pool = target.account.pool
    if not pool:
        return target, False
    now, first = monotonic(), crc32(caller.encode()) % len(pool)
    left = [account for account in (*pool[first:], *pool[:first]) if account.key not in tried]
    rests = {account.key: _rest(Target(account, target.model), now) for account in left}
    left.sort(key=lambda account: rests[account.key])
    return Target(left[0], target.model), len(left) > 1 and not rests[left[1].key]


def refused(target: Target, status: int, rest: float | None) -> None:
    """Note that a call with the target's key ended with ``status``; ``rest`` is how long the provider asks to wait."""
    if target.account.key and status in RESTING:
        health.key_failed(_name(target, status), status, rest)


def _rest(target: Target, now: float) -> float:
    return max(health.key_rests(_name(target, status), now) for status in RESTING)


def _name(target: Target, status: int) -> str:
    """Return what rests: a key that is not known, or one for a model whose limit it reached."""
    account = target.account
    return "\0".join(
        (account.name, account.revision[:16], account.key, target.model.upstream_id if status == 429 else "")
    )
