"""One line of a batch that Gatehouse runs: a call of the batch's owner through the pipeline, and the line of output it
makes.
"""

import asyncio
import re
import uuid
from typing import Any

import msgspec

from accounts.caller import Caller
from batches.charging import line_key
from gateway.access import default_models
from gateway.body.json import is_true, text_of
from gateway.call import errors
from gateway.call.call import BatchLine, Call
from gateway.call.headers import Options
from gateway.call.reply import Reply
from gateway.models import OwnedObject
from gateway.objects.operations import BATCH_LINES
from gateway.pipeline import describe
from gateway.pipeline import run as pipeline_run
from gateway.pipeline.traces import call_ended
from gateway.policies import release
from gateway.state import state
from providers.probe import verdict
from providers.upstream import sync_client
from providers.upstream.failures import UpstreamFailure
from providers.upstream.sync_client import Refused

RETRIES = 2
# What vendors say of a key that may not do what it is used for.
SCOPES = re.compile(rb"insufficient permissions|missing scopes", re.I)
_encode = msgspec.json.Encoder().encode


class Line(msgspec.Struct):
    """A line of a checked input."""

    custom_id: str
    url: str
    body: msgspec.Raw


async def run_line(row: OwnedObject, caller: Caller, line: Line, key: str) -> tuple[bool, dict[str, Any]]:
    """Run a line as ``caller``; return whether it succeeded, and the ``response`` of its output line.

    A failure is an answer, too. Raises ``CancelledError`` when the batch is given up, and ``Refused`` when the upstream
    refuses the account's key: the line is not at fault, and another try may succeed.
    """
    options = Options(row.account_name, dict(row.metadata), retries=RETRIES)
    call = describe.begin(caller, BATCH_LINES[line.url], options=options)
    status = 0
    call.account_binds = True  # neither routing rules nor budgets send a line to another account
    call.batch_line = BatchLine(row.object_id, key, line_key(line.custom_id))
    try:
        status, body = await _answer(row, call, line)
    except (errors.CallError, UpstreamFailure) as error:
        status, body = errors.status_of(error), errors.render_json(error)
    except asyncio.CancelledError:
        if call.ended_by is None:
            raise
        assert call.task is not None
        call.task.uncancel()
        status, body = errors.status_of(call.ended_by), errors.render_json(call.ended_by)
    finally:
        state.running.discard(call)
        call_ended(call, status)
        release(call)
    response = {"status_code": status, "request_id": call.request_id, "body": msgspec.Raw(body or b"null")}
    return status == 200, response


async def _answer(row: OwnedObject, call: Call, line: Line) -> tuple[int, bytes]:
    describe.read_json(call, bytes(line.body))
    fields = call.body.fields
    if is_true(fields.get("background")) or is_true(fields.get("store")):
        raise errors.InvalidRequest(
            "Lines that Gatehouse runs take neither 'background' nor 'store'.", param="background"
        )
    name = text_of(fields.get("model"))
    if name or not call.operation.unnamed:
        public = (row.data["origin"].get("models") or {}).get(name, "")
        call.model_asked = f"{row.account_name}/{public.partition('/')[2] or name}"  # it may have been renamed since
    else:
        call.model_asked = default_models.choose(call.caller, call.operation, row.account_name).model.public_name
    reply = await pipeline_run.run(call)
    try:
        if key_is_refused(reply):
            raise Refused(reply.status, None)
        if reply.stream is None:
            return reply.status, reply.body
        return reply.status, b"".join([piece async for piece in reply.stream])
    finally:
        reply.close()


def key_is_refused(reply: Reply) -> bool:
    """Whether an answer refuses the account's key. A 403 may be about the line, too: its message says."""
    if reply.status not in (401, 403):
        return False
    answer = sync_client.Reply(reply.status, "", reply.body, 0)
    return verdict.judge(answer, "", []).state == "bad_key" or SCOPES.search(reply.body) is not None


def line_body(row: OwnedObject, line: Line, response: dict[str, Any] | None, error: dict[str, str] | None) -> bytes:
    """Return the line of an output or error file."""
    line_id = f"batch_req_{uuid.uuid5(uuid.NAMESPACE_OID, f'{row.object_id}/{line.custom_id}').hex}"
    return _encode({"id": line_id, "custom_id": line.custom_id, "response": response, "error": error})
