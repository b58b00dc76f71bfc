"""Objects whose work goes on after the call: kept so that they can be charged, or their charge corrected, at their
end."""

from datetime import timedelta
from typing import Any

from gateway.call.call import Call
from gateway.models import OwnedObject
from usage.decisions import VIA, way_of, way_said

FIRST_POLL = timedelta(seconds=2)
"""How long after it was begun a job is polled for the first time."""


def kept_for_charge(call: Call) -> dict[str, Any]:
    """Return what the record of an object keeps of the call that began it, so that it can be charged when it is
    over."""
    assert call.target is not None  # an answer came, so a target gave it
    is_led = call.plan.routed or call.plan.rules
    way = (call.model_asked, *way_of(call.decision)) if is_led else ()  # the object is known by its target's name
    return {
        "request_id": call.request_id,
        "trace_id": call.trace.joined_id,
        "token_prefix": call.caller.prefix,
        "teams": list(call.caller.teams),
        "upstream_model": call.target.model.upstream_id,
        "tags": dict(call.caller.tags),
        **({VIA: way_said(way)} if way else {}),
    }


def keep_answer(account_name: str, response_id: str, answer: dict[str, Any]) -> None:
    """Keep what the end of a response's stream said, when the response is not charged yet."""
    waiting = OwnedObject.objects.named(account_name, response_id).filter(kind="response").unfinished()
    row = waiting.first()
    if row is not None:
        waiting.update(data={**row.data, "answer": answer})
