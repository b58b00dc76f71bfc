"""Admission of calls that are already running: a change of the snapshot is obeyed by open streams too."""

from django.conf import settings

from gateway.access import grants
from gateway.access.authentication import check_alive
from gateway.call import errors
from gateway.call.call import Call
from gateway.state import state


def recheck_running_calls() -> None:
    """End every running call that would not be let in again.

    Runs in the event loop after each change of the snapshot.
    """
    for call in list(state.running):
        error = _objection(call) if call is not None else None
        if call is not None and error is not None:
            call.end(error)


def end_overdue_calls() -> None:
    """End every call that takes longer than the operator allows. Runs in the event loop, now and then."""
    for call in list(state.running):
        if call is not None and call.is_overdue:
            call.end(
                errors.CallTooLong(
                    f"The call took longer than {settings.CALL_MAX_SECONDS:g} seconds, which is the limit. "
                    "The operator sets it with GATEHOUSE_CALL_MAX_SECONDS."
                )
            )


def _objection(call: Call) -> errors.CallError | None:
    caller = state.directory.caller_of_token(call.caller.token_id)
    if caller is None:
        return errors.BadToken("The token was deleted while the call was running.", code="token_revoked")
    try:
        check_alive(caller)
    except errors.BadToken as error:
        return error
    # Between its admission and its first attempt a call may wait for the database: its targets are known by then.
    planned = [entry.target for entry in call.plan.targets]
    targets = [call.attempt.target] if call.attempt is not None else planned
    if not all(grants.still_allowed(caller, target) for target in targets):
        return errors.Forbidden("Access to the model ended while the call was running.", code="access_ended")
    return None
