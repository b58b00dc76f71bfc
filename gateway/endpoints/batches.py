"""``/batches``: the provider's own batches, owned, checked before they are created, followed to their end."""

from typing import Any, ClassVar

import msgspec
from django.conf import settings

from accounts.database_clock import database_now
from gateway.access import accounts as access_accounts
from gateway.body.json import text_field
from gateway.call.call import Call, JobInput
from gateway.call.errors import InvalidRequest
from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.describe import json_reply
from gateway.endpoints.files import check_mentioned
from gateway.endpoints.jobs import JobView
from gateway.managed import batches as own_batches
from gateway.managed import files as own_files
from gateway.managed.input import ENDPOINTS, VENDORS_ONLY, InputCheck, Summary, check_again, check_endpoint
from gateway.objects import operations, ownership
from gateway.objects.job_kinds import BATCH
from gateway.objects.jobs import find
from gateway.objects.store import objects
from gateway.pipeline.fetch import read_request
from gateway.state import state
from providers.snapshot import AccountSnapshot, Target

PARAM = "input_file_id"


class Batches(JobView):
    """The collection: create a batch, list one's own."""

    job = BATCH
    list_operation = operations.BATCH_LIST
    operations: ClassVar[dict[str, Operation]] = {"POST": operations.BATCH_CREATE}

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Create a batch of an input file that the caller may use, after checking it again."""
        call = await self.describe(request, "batches")
        account = access_accounts.account_of(self.caller, call.account_name)
        file_id = text_field(call.body.fields, PARAM, "You must provide 'input_file_id', the id of an uploaded file.")
        endpoint = text_field(call.body.fields, "endpoint", "You must provide 'endpoint', like '/v1/chat/completions'.")
        if endpoint not in ENDPOINTS:
            raise InvalidRequest(
                f"'endpoint' must be one of {', '.join(ENDPOINTS)}.", param="endpoint", code="invalid_endpoint"
            )
        await ownership.check_references(call, account)
        if own_files.is_own(file_id) or own_batches.runs_here(request, account):
            return await self._run_here(call, account, file_id, endpoint)
        summary = await check_input(call, account, file_id, endpoint)
        call.job = JobInput(models=dict(summary.models), lines=summary.lines, endpoint=endpoint)
        return await self.run(call)

    async def _run_here(self, call: Call, account: AccountSnapshot, file_id: str, endpoint: str) -> Reply:
        """Create a batch that Gatehouse runs."""
        if endpoint in VENDORS_ONLY:
            raise InvalidRequest(
                f"Gatehouse can't run batches for {endpoint!r} itself; only the provider's own batches can.",
                param="endpoint",
                code="invalid_endpoint",
            )
        asked = msgspec.json.decode(call.body.raw)
        own_batches.check(asked)
        row = await objects.run(find, account.name, file_id)
        if row is not None and own_files.is_own(file_id) and own_files.has_expired(row):
            raise ownership.unknown(file_id, PARAM)
        known = row.data.get("batch_input") if row is not None else None
        if not own_files.is_own(file_id) or not isinstance(known, dict):
            raise InvalidRequest(
                f"{file_id!r} is kept by the provider, so Gatehouse can't run it. Upload it with the header "
                "x-gatehouse-batch: managed.",
                param=PARAM,
                code="input_file_elsewhere",
            )
        summary = check_again(call.caller, account, known, endpoint, own=True)
        made = own_batches.new_batch(call, account, asked, summary, await objects.run(database_now))
        await objects.record([made])
        return json_reply({**made.data["body"], "provider": account.provider})

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """List the caller's batches, newest first."""
        return await self.listing(request)


class Batch(JobView):
    """One batch."""

    job = BATCH
    operations: ClassVar[dict[str, Operation]] = {"GET": operations.BATCH_RETRIEVE}

    async def get(self, request: InferenceRequest, batch_id: str, **kwargs: Any) -> Reply:
        """Return the batch."""
        return await self.look(request, batch_id)


class CancelBatch(JobView):
    """The end of a batch before its time."""

    job = BATCH
    operations: ClassVar[dict[str, Operation]] = {"POST": operations.BATCH_CANCEL}

    async def post(self, request: InferenceRequest, batch_id: str, **kwargs: Any) -> Reply:
        """Cancel the batch."""
        if own_batches.is_own(batch_id):
            return await self.cancel_own(request, batch_id)
        return await self.transition(request, batch_id, "cancel")


async def check_input(call: Call, account: AccountSnapshot, file_id: str, endpoint: str) -> Summary:
    """Return what the input file says, when the caller may run it now; raise an error that names the line otherwise.

    The file's record says what its upload found. A file that came in parts, from outside, or whose lines mention other
    objects is read from the upstream.
    """
    row = await objects.run(find, account.name, file_id)
    known = row.data.get("batch_input") if row is not None else None
    if isinstance(known, dict) and not known["references"]:
        return check_again(call.caller, account, known, endpoint)
    check = InputCheck(call.caller, account, PARAM)
    target = Target(account, access_accounts.no_model(account))
    answer = await state.client.send(account, read_request(target, f"files/{file_id}/content"))
    try:
        if answer.status != 200:
            raise InvalidRequest(
                f"The input file {file_id!r} can't be read: the upstream answered {answer.status}.",
                param=PARAM,
                code="input_file_unreadable",
            )
        size = 0
        async for piece in answer.chunks():
            size += len(piece)
            if size > settings.MAX_UPLOAD_BYTES:
                raise InvalidRequest(f"The input file {file_id!r} is too large.", param=PARAM, code="file_too_large")
            check.feed(piece)
            await check_mentioned(call, account, check)
    finally:
        answer.close()
    summary = check.finish()
    await check_mentioned(call, account, check)
    check_endpoint(summary, endpoint)
    return summary
