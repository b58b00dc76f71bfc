"""Objects whose work goes on after the call: kept so that they can be charged at their end."""

from typing import Any

from gateway.call.call import Call
from gateway.models import OwnedObject

KIND = "response"
RUN, EVAL_RUN = "run", "eval_run"
RUNNING = frozenset({"queued", "in_progress", "requires_action", "cancelling"})
# kind: where it is asked for, and the operation, endpoint and error of its usage record
KINDS = {
    KIND: ("responses/{id}", "background_response", "responses", "response"),
    RUN: ("threads/{parent}/runs/{id}", "polled_run", "threads/{id}/runs", "run"),
    EVAL_RUN: ("evals/{parent}/runs/{id}", "eval_run", "evals/{id}/runs", "run"),
}


def kept_for_charge(call: Call) -> dict[str, Any]:
    """Return what the record of an object keeps of the call that began it, so that it can be charged when it is over."""
    assert call.target is not None  # an answer came, so a target gave it
    return {
        "request_id": call.request_id,
        "token_prefix": call.caller.prefix,
        "teams": list(call.caller.teams),
        "upstream_model": call.target.model.upstream_id,
        "tags": dict(call.caller.tags),
    }


def keep_answer(account_name: str, response_id: str, answer: dict[str, Any]) -> None:
    """Write down what a response that is not charged yet told at its end."""
    waiting = OwnedObject.objects.filter(account_name=account_name, object_id=response_id, kind=KIND)
    row = waiting.filter(due_at__isnull=False).first()
    if row is not None:
        waiting.filter(due_at__isnull=False).update(data={**row.data, "answer": answer})
