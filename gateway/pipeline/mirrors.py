"""Shadows: copies of calls that a virtual model mirrors to another target, to see how that one does.

A shadow is a call of its own behind the caller's: it has its own id and record, is charged to the built-in application
``gatehouse/mirror``, and must pass the limits and budgets that count that one. Nothing waits for it, and no one reads
its answer. Left out is what must not happen twice: tools that the provider runs, and what it would keep.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import msgspec

from accounts.caller import Caller
from gateway.body.acting import acts, stores
from gateway.call import errors
from gateway.call.call import Call, new_request_id
from gateway.call.plan import Plan
from gateway.call.reply import Reply
from gateway.pipeline import records
from gateway.policies import release
from gateway.routing.plan import planned_target, target_of, unfit
from gateway.state import state
from providers.upstream.failures import UpstreamFailure
from rules.references import MIRROR

logger = logging.getLogger("gateway.pipeline")

MOST_AT_ONCE: Final = 100
"""Shadows under way in this process; beyond that calls are not mirrored."""
SHADOW: Final = Caller(
    token_id=0,
    prefix="",
    subject_type="virtualaccount",
    subject_id=0,
    subject_name=MIRROR,
    principals=frozenset(),
    is_superuser=False,
    teams=(),
    team_keys=(),
    tags={},
    limits=None,
    state="active",
    expires_at=None,
)

_under_way = 0


def begin(call: Call, run: Callable[[Call], Awaitable[Reply]]) -> None:
    """Let a shadow of an admitted call begin, if it may have one. ``run`` is what runs calls."""
    if _under_way >= MOST_AT_ONCE:
        return
    shadow = shadow_of(call)
    if shadow is not None:
        call.decision = {**call.decision, "mirrored": f"{shadow.model_asked} as {shadow.request_id}"}
        state.finish_later(_run(shadow, run))


def shadow_of(call: Call) -> Call | None:
    """Return the call that mirrors ``call``; ``None`` for one that must not happen twice, or that the mirror can't
    take."""
    mirror, asked = call.plan.mirror, call.as_asked
    target = target_of(mirror) if mirror is not None else None
    if mirror is None or asked is None or target is None or call.batch_line is not None or call.history:
        return None
    if asked[0].upload is not None or acts(asked[0].fields) or unfit(call, mirror, target, ""):
        return None
    shadow = Call(SHADOW, call.operation, replace(call.options, retries=0, log_bodies=False), new_request_id())
    for name in ("endpoint", "method", "path", "query", "base_url", "forwarded", "stream", "wants_usage"):
        setattr(shadow, name, getattr(call, name))
    shadow.model_asked = target.model.public_name
    shadow.body = asked[0].copy()
    if stores(shadow.body.fields, call.operation.model_type):
        shadow.body.replace({**shadow.body.fields, "store": msgspec.Raw(b"false")})
    shadow.plan = Plan((planned_target(shadow, mirror, target),))
    shadow.decision = {"mirror_of": call.request_id}
    return shadow


async def _run(shadow: Call, run: Callable[[Call], Awaitable[Reply]]) -> None:
    global _under_way
    _under_way += 1
    reply: Reply | None = None
    try:
        reply = await run(shadow)
        if reply.stream is not None:
            async for _ in reply.stream:
                pass
    except (errors.CallError, UpstreamFailure) as error:
        records.record_refusal(shadow, error)
    except Exception:  # the boundary of a task that no one waits for
        logger.exception("The shadow %s failed.", shadow.request_id)
    finally:
        _under_way -= 1
        if reply is not None:
            reply.close()
        release(shadow)
