"""What the endpoints of batches and fine-tuning jobs share: to retrieve one, list one's own, and change a job's status.

A job is answered from the record while that is fresh or the job is over; otherwise the upstream is asked, and what it
says is stored. When the upstream can't be asked, the record answers all the same.
"""

from typing import Any, ClassVar

import msgspec
from django.conf import settings
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.lookups import Exact

from gateway.call.call import Call
from gateway.call.errors import InvalidRequest
from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import ObjectView
from gateway.endpoints.describe import JSON_HEADERS, begin_call
from gateway.managed import batches as own_batches
from gateway.models import OwnedObject
from gateway.objects import jobs, ownership
from gateway.objects.files import stored_body
from gateway.objects.job_kinds import JobKind
from gateway.objects.listing import account_of_list, asks_for_all, list_body, list_owned, read_page
from gateway.objects.store import objects
from gateway.state import state
from providers.upstream.failures import UpstreamFailure

# The account's key is refused, or its rate limit reached: neither is the caller's fault, nor news of the job.
NOT_ABOUT_THE_JOB = frozenset({401, 403, 429})
_body = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode


class JobView(ObjectView):
    """One job, or the collection of jobs, of ``job``'s kind."""

    job: ClassVar[JobKind]
    list_operation: ClassVar[Operation]

    async def look(self, request: InferenceRequest, job_id: str) -> Reply:
        """Return the job's current state."""
        call = await self.describe(request, f"{self.job.path}/{job_id}", job_id)
        row = None if call.parent is None else await objects.run(jobs.find, call.account_name, job_id)
        if row is not None and (self.job.is_over(row.state) or own_batches.is_own(job_id) or _fresh(row)):
            return known_reply(row)
        try:
            reply = await self.run(call)
        except UpstreamFailure:
            if row is None:
                raise
            return known_reply(row)
        if row is not None and (reply.status in NOT_ABOUT_THE_JOB or reply.status >= 500):
            reply.close()
            return known_reply(row)
        await note_reply(call, job_id, reply)
        return reply

    async def transition(self, request: InferenceRequest, job_id: str, verb: str) -> Reply:
        """Send ``cancel``, ``pause`` or ``resume`` and record what the job says to it."""
        call = await self.describe(request, f"{self.job.path}/{job_id}/{verb}", job_id)
        reply = await self.run(call)
        await note_reply(call, job_id, reply)
        return reply

    async def cancel_own(self, request: InferenceRequest, job_id: str) -> Reply:
        """Let a batch of Gatehouse's own end; what runs it sees that at its next step."""
        call = await self.describe(request, f"{self.job.path}/{job_id}/cancel", job_id)
        row = await objects.run(jobs.find, call.account_name, job_id)
        if row is None:
            raise ownership.unknown(job_id)
        if self.job.is_over(row.state):
            raise InvalidRequest(f"Cannot cancel a batch with status {row.state!r}.", code="invalid_state")
        body = {**stored_body(row), "status": "cancelling", "cancelling_at": int(row.now.timestamp())}
        row = await objects.run(jobs.note, call.account_name, job_id, body)
        return known_reply(row)

    async def listing(self, request: InferenceRequest) -> Reply:
        """Return a page of the caller's jobs, from the records."""
        call = begin_call(request, self.caller, self.list_operation)
        account = await account_of_list(request, self.caller, call.operation, call.account_name, self.job.kind)
        page = read_page(request.GET)
        everybody = asks_for_all(request, self.caller, account)
        conditions = metadata_conditions(request)
        rows, more = await list_owned(
            self.caller, account, self.job.kind, page, everybody=everybody, conditions=conditions
        )
        return Reply(200, list(JSON_HEADERS), _encode(list_body([stored_body(row) for row in rows], more)))


def metadata_conditions(request: InferenceRequest) -> list[Any]:
    """Return the conditions for ``metadata[key]=value`` in the query, as fine-tuning lists take them."""
    held = KeyTransform("metadata", KeyTransform("body", "data"))
    return [
        Exact(KeyTextTransform(name[9:-1], held), value)
        for name, value in request.GET.items()
        if name.startswith("metadata[") and name.endswith("]")
    ]


async def note_reply(call: Call, job_id: str, reply: Reply) -> None:
    """Record what an answer says of the job."""
    if call.parent is None or not 200 <= reply.status < 300:
        return
    try:
        body = _body.decode(reply.body)
    except (ValueError, RecursionError):
        return
    body.pop("provider", None)
    await objects.run(jobs.note, call.account_name, job_id, body)


def known_reply(row: OwnedObject) -> Reply:
    """Return a job's record as an answer, with the provider's name as every answer has it."""
    account = state.directory.accounts.get(row.account_name)
    body = {**stored_body(row), "provider": account.provider if account is not None else ""}
    age = max(0, int((row.now - row.updated_at).total_seconds()))
    return Reply(200, [*JSON_HEADERS, (b"age", str(age).encode())], _encode(body))


def _fresh(row: OwnedObject) -> bool:
    return (row.now - row.updated_at).total_seconds() < settings.JOB_FRESH_SECONDS
