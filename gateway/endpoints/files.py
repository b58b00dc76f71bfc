"""``/files``: uploads that stream through, lists of one's own, metadata, content, deletion.

The input of a batch is checked while it comes and sent on when it is valid; everything else is sent on as it comes.
"""

import asyncio
import tempfile
from typing import IO, Any, ClassVar

from django.db.models import Q
from django.db.models.functions import Now

from accounts.database_clock import database_now
from gateway.access import accounts as abilities
from gateway.body.upload import MultipartUpload
from gateway.call.call import Call, JobInput
from gateway.call.errors import CallError, InvalidRequest
from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import InferenceView, ObjectView
from gateway.endpoints.describe import begin_call, json_reply
from gateway.endpoints.uploading import closing_on_error, send_upload
from gateway.managed import batches as own_batches
from gateway.managed import files as own_files
from gateway.managed.fields import EXPIRY_PARTS, form_expiry
from gateway.managed.input import InputCheck
from gateway.models import OwnedObject
from gateway.objects import operations, ownership
from gateway.objects.files import FILE, expiry, keep_body, stored_body, unpaid_batch
from gateway.objects.listing import account_of_list, asks_for_all, list_body, list_owned, read_page
from gateway.objects.records import new_object
from gateway.objects.store import mark_deleted, objects
from gateway.pipeline.fetch import read_object
from providers.snapshot import AccountSnapshot, Target

LIST_LIMIT = 10_000
READ_AT_ONCE = 8
BATCH = "batch"
UNNAMED = "input.jsonl"


class FileUpload(MultipartUpload):
    """An upload whose file is looked at on its way: a batch's input is kept until it was found valid."""

    def __init__(self, request: InferenceRequest, call: Call, account: AccountSnapshot, *, own: bool) -> None:
        wanted = ("purpose", *(EXPIRY_PARTS if own else ()))
        super().__init__(request, wanted, on_file=self._look)
        self.check = InputCheck(call.caller, account, own=own)
        # Closed with the upload.
        self.content: IO[bytes] | None = tempfile.TemporaryFile() if own else None  # noqa: SIM115
        self._call = call
        self._account = account
        self._fault: CallError | None = None
        self._is_batch: bool | None = None

    async def begin(self) -> None:
        """Read until the purpose is known; of a batch's input read everything and raise what is wrong with it."""
        while "purpose" not in self.values and await self.keep():
            await self._look_up()
        self._is_batch = self.values.get("purpose") == BATCH
        if not self._is_batch:
            return
        self._raise_fault()
        while await self.keep():
            self._raise_fault()
            await self._look_up()
        if self.file_name is None:
            raise InvalidRequest(
                "You must provide a 'file' part, the input of the batch.",
                param="file",
                code="missing_required_parameter",
            )
        summary = self.check.finish()
        await self._look_up()
        self._call.job = JobInput(batch_input=summary.as_json())

    def close(self) -> None:
        super().close()
        if self.content is not None:
            self.content.close()

    def _look(self, data: bytes) -> None:
        if self.content is not None:
            self.content.write(data)
        if self._is_batch is False or self._fault is not None:
            return
        try:
            self.check.feed(data)
        except CallError as error:  # the file may turn out not to be a batch's
            self._fault = error

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._fault

    async def _look_up(self) -> None:
        if self._fault is None:
            try:
                await check_mentioned(self._call, self._account, self.check)
            except CallError as error:
                self._fault = error
        if self._is_batch:
            self._raise_fault()


async def check_mentioned(call: Call, account: AccountSnapshot, check: InputCheck) -> None:
    """Raise, naming the line, unless what the lines mention so far is the caller's to use."""
    mentioned = check.take_mentioned()
    refused = await ownership.first_refused(
        call.caller, account, [(field, object_id) for _, field, object_id in mentioned]
    )
    if refused is not None:
        place, error = refused
        raise check.fault(error.message, error.code or "not_found", mentioned[place][0]) from None


class Files(InferenceView):
    """The collection: upload a file, list one's own."""

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Upload a file."""
        call = begin_call(request, self.caller, operations.FILE_CREATE)
        account = abilities.choose_account(self.caller, call.operation, call.account_name)
        own = own_batches.wanted(request) or "files" not in account.vendor.abilities
        call.account_name = account.name
        upload = FileUpload(request, call, account, own=own)
        with closing_on_error(upload):
            await upload.begin()
            if not own:
                return await send_upload(request, call, upload)
            reply = await self._keep(call, account, upload)
        upload.close()
        return reply

    async def _keep(self, call: Call, account: AccountSnapshot, upload: FileUpload) -> Reply:
        """Keep the input of a batch that Gatehouse will run."""
        assert upload.content is not None  # begun as one of our own
        if upload.values.get("purpose") != BATCH:
            raise InvalidRequest(
                f"Gatehouse keeps inputs of batches only (purpose 'batch'); {account.vendor.label} on "
                f"{account.name!r} has no files for other purposes here.",
                param="purpose",
                code="unsupported_by_provider",
            )
        lifetime = form_expiry(upload.values)
        file_id = own_files.new_id()
        size = await own_files.run(own_files.save, file_id, upload.content)
        now = await objects.run(database_now)
        body = own_files.file_body(file_id, upload.file_name or UNNAMED, BATCH, size, now, lifetime)
        assert call.job is not None  # begun as the input of a batch
        data = {"body": body, "batch_input": call.job.batch_input}
        made = new_object(call.caller, account.name, FILE, file_id, data=data, expires_at=expiry(body))
        await objects.record([made])
        return json_reply({**body, "provider": account.provider})

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """List the caller's files, newest first."""
        call = begin_call(request, self.caller, operations.FILE_LIST)
        account = await account_of_list(request, self.caller, call.operation, call.account_name, FILE)
        page = read_page(request.GET, default=LIST_LIMIT, most=LIST_LIMIT)
        filters = {"data__body__purpose": request.GET["purpose"]} if request.GET.get("purpose") else {}
        everybody = asks_for_all(request, self.caller, account)
        alive = Q(expires_at=None) | Q(expires_at__gt=Now())
        rows, more = await list_owned(
            self.caller, account, FILE, page, everybody=everybody, conditions=[alive], **filters
        )
        return json_reply(list_body(await bodies_of(account, rows), more))


async def bodies_of(account: AccountSnapshot, rows: list[OwnedObject]) -> list[dict[str, Any]]:
    """Return the files' bodies; one that is not known yet (the output of a batch) is read from the upstream, once."""
    gate = asyncio.Semaphore(READ_AT_ONCE)
    target = Target(account, abilities.no_model(account))

    async def body_of(row: OwnedObject) -> dict[str, Any]:
        known = stored_body(row)
        if "bytes" in known:
            return known
        async with gate:
            found = await read_object(target, f"files/{row.object_id}")
        if isinstance(found, dict):
            await objects.run(keep_body, row.account_name, row.object_id, found)
            return found
        return known

    return list(await asyncio.gather(*(body_of(row) for row in rows)))


class File(ObjectView):
    """One file: its metadata, and its end."""

    operations: ClassVar[dict[str, Operation]] = {
        "GET": operations.FILE_RETRIEVE,
        "DELETE": operations.FILE_DELETE,
    }

    async def get(self, request: InferenceRequest, file_id: str, **kwargs: Any) -> Reply:
        """Return the file's metadata, as it is at the upstream."""
        call = await self.describe(request, f"files/{file_id}", file_id)
        if call.parent is not None and own_files.is_own(file_id):
            return json_reply(await objects.run(own_files.body_of, call.parent))
        reply = await self.run(call)
        if reply.status == 404 and call.parent is not None:
            await objects.run(mark_deleted, file_id, call.account_name)
            objects.forget(file_id, call.account_name)
        return reply

    async def delete(self, request: InferenceRequest, file_id: str, **kwargs: Any) -> Reply:
        """Delete the file. The output of a batch stays until its lines are in the ledger."""
        call = await self.describe(request, f"files/{file_id}", file_id)
        if call.parent is not None and call.parent.parent_id:
            batch_id = call.parent.parent_id
            if await objects.run(unpaid_batch, call.account_name, batch_id):
                raise InvalidRequest(
                    f"The cost of {batch_id!r} is still being counted from this file. Delete it in a minute.",
                    code="file_in_use",
                )
        if call.parent is not None and own_files.is_own(file_id):
            await objects.run(own_files.body_of, call.parent)  # raises when its time is over
            await own_files.run(own_files.delete, file_id)
            await objects.run(mark_deleted, file_id, call.account_name)
            objects.forget(file_id, call.account_name)
            return json_reply({"id": file_id, "object": "file", "deleted": True})
        return await self.run(call, deletes=file_id)


class FileContent(ObjectView):
    """A file's bytes, streamed; a range of them when the request asks so, and only the headers to HEAD."""

    operations: ClassVar[dict[str, Operation]] = {
        "GET": operations.FILE_CONTENT,
    }

    async def get(self, request: InferenceRequest, file_id: str, **kwargs: Any) -> Reply:
        """Return the content."""
        call = await self.describe(request, f"files/{file_id}/content", file_id)
        if call.parent is not None and own_files.is_own(file_id):
            await objects.run(own_files.body_of, call.parent)  # raises when its time is over
            return await own_files.content(call.parent, request.raw_headers.get(b"range", b"").decode("latin1"))
        for name in (b"range", b"if-range"):
            if name in request.raw_headers:
                call.forwarded.append((name.decode(), request.raw_headers[name].decode("latin1")))
        return await self.run(call)
