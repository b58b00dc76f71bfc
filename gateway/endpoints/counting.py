"""Counts of tokens: the vendor's own where it counts, else an estimate, which says that it is one."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from gateway.billing import estimate
from gateway.billing.tokens import family_of
from gateway.call.call import Call
from gateway.call.reply import Reply
from gateway.pipeline.convert import refusal
from gateway.pipeline.local import answer_here
from gateway.pipeline.run import deliver
from gateway.policies import admit
from providers.dialects.conversion import Ask
from providers.dialects.conversions import counts
from providers.dialects.failures import DialectError
from providers.dialects.neutral import Request
from providers.dialects.wire import plain

ESTIMATED = (b"x-gatehouse-estimated", b"true")


async def count(call: Call, read: Callable[[Ask], Request], write: Callable[[int], bytes]) -> Reply:
    """Return the count of a described call's input: asked upstream, or estimated here as lost usage is."""
    await admit(call)
    if counts(call.operation.path, call.operation.door, call.plan.first.account.vendor):
        return await deliver(call)

    async def work() -> bytes:
        try:
            fields = plain(call.body.fields)
            read(Ask(fields=fields, model=call.model_asked))  # what is not a conversation is refused as for an answer
        except DialectError as error:
            raise refusal(error) from None
        inner = fields.get("generateContentRequest", fields)
        return write(await asyncio.to_thread(_estimated, inner, call.plan.first.model.upstream_id))

    return await answer_here(call, work, (ESTIMATED,))


def _estimated(fields: Mapping[str, Any], model: str) -> int:
    return estimate.request_of(fields).total(family_of(model))
