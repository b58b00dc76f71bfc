"""When a second request may go to the next target, because the first takes longer than it mostly does.

Both are paid. So that a slow hour does not double everything, there are at most twice as many second requests as the
percentile would make, and a few at once.
"""

from time import monotonic
from typing import Final

from gateway.body.acting import acts, stores
from gateway.call.call import Call
from gateway.routing.allowance import hedges
from gateway.routing.health import LATENCY_SECONDS, health

TYPES: Final = frozenset({"chat", "completion", "responses", "embedding", "rerank", "moderation"})
LEAST_SAMPLES: Final = 20
"""How many answers of the last minutes must be known before any is called slow."""
LEAST_SECONDS: Final = 0.05


def may_hedge(call: Call, home: str) -> bool:
    """Whether a call may be asked of two targets at once: it changes nothing, and belongs to no account."""
    if call.operation.model_type not in TYPES or home or call.history or call.batch_line is not None:
        return False
    body = call.body
    return body.upload is None and not acts(body.fields) and not stores(body.fields, call.operation.model_type)


def seconds(call: Call) -> float | None:
    """Return how long the first target may take before the second is asked; ``None`` where it is not to be."""
    share = call.plan.hedge
    if share is None or len(call.plan.targets) < 2 or call.plan.targets[1].stage:
        return None
    name = call.plan.first.model.public_name
    hedges.earn(name, 2 * (1 - share))
    slow = health.of(name).slow(monotonic(), LATENCY_SECONDS, share, first=call.stream, least=LEAST_SAMPLES)
    return None if slow is None else max(LEAST_SECONDS, slow / 1000)


def take(call: Call) -> bool:
    """Take one of the second requests that may be made beside this target's; return whether there was one."""
    return hedges.take(call.plan.first.model.public_name)
