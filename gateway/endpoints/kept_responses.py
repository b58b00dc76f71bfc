"""Methods on responses that Gatehouse keeps itself: retrieved, deleted, their input listed."""

from typing import Any

from gateway.call.call import Call
from gateway.call.errors import InvalidRequest
from gateway.call.reply import Reply
from gateway.objects import kept_responses
from gateway.objects.kept_responses import Kept
from gateway.objects.listing import Page, list_body
from gateway.objects.ownership import unknown
from gateway.objects.store import mark_deleted, objects
from gateway.pipeline.local import answer_here
from gateway.policies import admit
from gateway.state import state
from providers.dialects.conversions import RESPONSES, passes
from providers.dialects.wire import encode


def is_kept(call: Call) -> bool:
    """Whether the call is about a response of an account whose provider keeps none."""
    account = state.directory.accounts[call.account_name]
    return not passes(RESPONSES, "openai", account.vendor)


async def show(call: Call, response_id: str) -> Reply:
    """Return the response."""
    await admit(call)
    if call.stream:
        raise InvalidRequest("Only a background response can be streamed again.", param="stream")

    async def work() -> bytes:
        found = await _found(call, response_id)
        return encode({**found.response, "provider": call.plan.first.account.provider})

    return await answer_here(call, work)


async def delete(call: Call, response_id: str) -> Reply:
    """Delete the response, and return what OpenAI returns for it."""
    await admit(call)

    async def work() -> bytes:
        await _found(call, response_id)
        await objects.run(mark_deleted, response_id, call.account_name)
        objects.forget(response_id, call.account_name)
        await kept_responses.forget(call.account_name, response_id)
        return encode({"id": response_id, "object": "response.deleted", "deleted": True})

    return await answer_here(call, work)


async def show_input(call: Call, response_id: str, page: Page) -> Reply:
    """Return a page of the items that the response goes on from."""
    await admit(call)

    async def work() -> bytes:
        found = await _found(call, response_id)
        return encode(list_body(*_page(found.input, page)))

    return await answer_here(call, work)


async def _found(call: Call, response_id: str) -> Kept:
    found = await kept_responses.find(call.account_name, response_id)
    if found is None:
        raise unknown(response_id)
    return found


def _page(items: list[dict[str, Any]], page: Page) -> tuple[list[dict[str, Any]], bool]:
    """Return a page of items, and whether there are more. Raises for a cursor that is not among them."""
    ordered = items if page.order == "asc" else items[::-1]
    ids = [item["id"] for item in ordered]
    start, end = 0, len(ordered)
    for cursor, name in ((page.after, "after"), (page.before, "before")):
        if cursor and cursor not in ids:
            raise InvalidRequest(f"{name!r} names no item of this list: {cursor[:200]!r}.", param=name)
    if page.after:
        start = ids.index(page.after) + 1
    if page.before:
        end = ids.index(page.before)
    chosen = ordered[start:end]
    return chosen[: page.limit], len(chosen) > page.limit
