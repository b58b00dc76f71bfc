"""OpenAI's other resources through one table (``gateway.objects.resource_table``): the vendor's own paths and bodies,
with our admission.

Ownership, streaming, multipart bodies and records are those of every other endpoint.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from django.urls import URLPattern, re_path

from gateway.access import accounts as access_accounts
from gateway.access import default_models, named_models
from gateway.access import models as access
from gateway.body import json as json_body
from gateway.body.references import operation_key
from gateway.body.upload import MultipartUpload
from gateway.call import errors
from gateway.call.call import Call
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import InferenceView
from gateway.endpoints.describe import begin_call, json_reply, read_json_body
from gateway.endpoints.resource_place import Place, operation_of, place_of
from gateway.endpoints.uploading import closing_on_error, send_upload
from gateway.jobs import table
from gateway.objects import ownership, resources, selection
from gateway.objects.listing import account_of_list, list_body, list_owned, read_page
from gateway.objects.resource_table import RESOURCES, Resource
from gateway.objects.store import mark_deleted, objects
from gateway.pipeline import run as pipeline_run
from gateway.pipeline.fetch import read_objects
from gateway.state import state
from providers.snapshot import AccountSnapshot, Target

LIST_ROUNDS = 5
LIST_PARAMETERS = frozenset({"limit", "order", "after", "before"})
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
MULTIPART = b"multipart/"
RANGE_HEADERS = (b"range", b"if-range")


class ResourceView(InferenceView):
    """One row of the table: its collection, its objects, and what is below them."""

    resource: Resource = RESOURCES[0]

    async def get(self, request: InferenceRequest, rest: str = "", **kwargs: Any) -> Reply:
        """List the caller's objects, or read one, or what belongs to it."""
        return await self.serve(request, rest or "")

    async def post(self, request: InferenceRequest, rest: str = "", **kwargs: Any) -> Reply:
        """Create an object, change one, or do something with it."""
        return await self.serve(request, rest or "")

    async def delete(self, request: InferenceRequest, rest: str = "", **kwargs: Any) -> Reply:
        """Delete an object, or what belongs to it."""
        return await self.serve(request, rest or "")

    async def serve(self, request: InferenceRequest, rest: str) -> Reply:
        """Resolve the path against the row, check who owns what it names, and send it on."""
        row, place = self.resource, place_of(self.resource, rest)
        call = begin_call(request, self.caller, operation_of(row, place, request.method or ""))
        call.path = "/".join([row.path, *(quote(segment, safe="") for segment in place.segments)])
        call.endpoint = "/".join([row.path, *place.shape])
        account = await self._given_account(call, place)
        if account is not None:
            access_accounts.check_open(account, row.switch)
        if request.method == "GET" and not place.segments:
            if not row.lists:
                raise errors.MethodNotAllowed(f"/{row.path} can't be listed.", headers={"allow": "POST"})
            account = account or await self._account_of_list(request, call)
            listed = await self._list(request, account)
            if listed is not None:
                return listed
        upload = await read_body(request, call, row) if request.method in BODY_METHODS else None
        if upload is None:
            return await self._send(request, call, place, account)
        with closing_on_error(upload):
            return await self._send(request, call, place, account, upload)

    async def _send(
        self,
        request: InferenceRequest,
        call: Call,
        place: Place,
        account: AccountSnapshot | None,
        upload: MultipartUpload | None = None,
    ) -> Reply:
        row = self.resource
        if account is None:
            account = await self._account_of_body(call)
            access_accounts.check_open(account, row.switch)
        call.account_name = account.name
        selection.check(self.caller, account, call.method, operation_key(call.endpoint), call.body.fields)
        if row.model:
            take_default_model(call, account)
            check_model(call, account)
            name_models(call, account)
        await resources.find_model(call, account, row, place.root, place.segments)
        await resources.charge_later(call, account, row, place.segments)
        if request.method == "DELETE" and place.word is None and call.parent is not None:
            await table.settle(call.parent)
        if call.operation.raw:
            call.forwarded += [
                (name.decode(), request.raw_headers[name].decode("latin1"))
                for name in RANGE_HEADERS
                if name in request.raw_headers
            ]
        reply = await (send_upload(request, call, upload) if upload is not None else pipeline_run.run(call))
        if reply.status < 300 and len(place.segments) == 1 and place.root:
            await self._changed(request, call, place.root, account)
        return reply

    async def _changed(self, request: InferenceRequest, call: Call, root: str, account: AccountSnapshot) -> None:
        """Note what a call on the object itself changed in its record."""
        if request.method == "DELETE":
            await objects.run(mark_deleted, root, account.name)
            objects.forget(root, account.name)
        elif request.method == "POST" and call.model_asked and call.target is not None:
            await objects.run(resources.keep_model, account.name, root, call.target.model.public_name)

    async def _given_account(self, call: Call, place: Place) -> AccountSnapshot | None:
        """Return the account that the path's object or the header says; ``None`` when neither does."""
        name = call.account_name
        if place.root:
            account, call.parent = await ownership.locate(self.caller, place.root, name)
            return account
        return access_accounts.account_of(self.caller, name) if name else None

    async def _account_of_body(self, call: Call) -> AccountSnapshot:
        """Return the account that the body means: by its model, by an object that it refers to; else the only one."""
        prefix = call.model_asked.partition("/")[0]
        if prefix in state.directory.accounts:
            return access.resolve(self.caller, call.model_asked, "").account
        home = await ownership.home_of(call)
        return access_accounts.choose_account(self.caller, call.operation, home)

    async def _account_of_list(self, request: InferenceRequest, call: Call) -> AccountSnapshot:
        """Return the account that a list is of which names none."""
        kind = self.resource.kind
        if not kind:
            return access_accounts.choose_account(self.caller, call.operation)
        return await account_of_list(request, self.caller, call.operation, "", kind)

    async def _list(self, request: InferenceRequest, account: AccountSnapshot) -> Reply | None:
        """Answer a list with the caller's own objects as they are at the upstream now; ``None``: the upstream
        answers.
        """
        row = self.resource
        if not row.kind or account.isolation == "account":
            return None
        unknown = sorted(set(request.GET) - LIST_PARAMETERS)
        if unknown:
            raise errors.InvalidRequest(
                f"{unknown[0][:80]!r} is not supported: the list holds your own objects, from Gatehouse's records. It "
                f"takes "
                f"{', '.join(sorted(LIST_PARAMETERS))}.",
                param=unknown[0][:80],
                code="unsupported_parameter",
            )
        page, target = read_page(request.GET), Target(account, access_accounts.no_model(account))
        found: list[Any] = []
        gone: list[str] = []
        for _ in range(LIST_ROUNDS):
            rows, more = await list_owned(self.caller, account, row.kind, page)
            bodies = await read_objects(target, row.path, [entry.object_id for entry in rows])
            found += [body for body in bodies if body is not None]
            gone += [entry.object_id for entry, body in zip(rows, bodies, strict=True) if body is None]
            if not more or page.before or len(found) >= read_page(request.GET).limit:
                break
            page = replace(page, limit=read_page(request.GET).limit - len(found), after=rows[-1].object_id)
        for object_id in gone:
            await objects.run(mark_deleted, object_id, account.name)
            objects.forget(object_id, account.name)
        return json_reply(list_body(found, more))


async def read_body(request: InferenceRequest, call: Call, row: Resource) -> MultipartUpload | None:
    """Read the body: its fields, references, model and whether it asks for a stream go into ``call``.

    A multipart body is kept on disk until all of it was looked at, and returned.
    """
    content_type = request.raw_headers.get(b"content-type", b"")
    if content_type.lower().startswith(MULTIPART):
        upload = MultipartUpload(request, ("model",), refers=row.refers, unnamed=call.operation.unnamed)
        with closing_on_error(upload):
            while await upload.keep():
                continue
        call.references += upload.references
        call.model_asked = upload.values.get("model", "").strip() if row.model else ""
        return upload
    await read_json_body(request, call, may_be_empty=True)
    call.references += resources.own_references(row, call.body.fields)
    if row.model:
        call.model_asked = json_body.text_of(call.body.fields.get("model"))
    return None


def take_default_model(call: Call, account: AccountSnapshot) -> None:
    """Let a call that names no model, where OpenAI asks for none, go to the account's default.

    Raises :class:`~gateway.call.errors.InvalidRequest` when it is not clear which model is meant: an account that lists
    none of the type has none that anyone may call.
    """
    if call.operation.unnamed and not call.model_asked:
        call.model_asked = default_models.choose(call.caller, call.operation, account.name).model.public_name


def name_models(call: Call, account: AccountSnapshot) -> None:
    """Give every model below the body's top level its upstream name. When a billed call names just one, that pays."""
    fields, named = named_models.for_account(call.caller, account, call.body.fields, inert=frozenset())
    call.body.replace(fields)
    call.references += named_models.references_to(named)
    if call.operation.charges and not call.model_asked and len({model.name for model in named}) == 1:
        call.payer = named[0]


def check_model(call: Call, account: AccountSnapshot) -> None:
    """Raise unless the model that the body names is one of ``account``, which the caller may call."""
    if call.model_asked and access.resolve(call.caller, call.model_asked, account.name).account is not account:
        raise errors.InvalidRequest(
            f"The model {call.model_asked[:200]!r} is on another account than this call, which goes to "
            f"{account.name!r}.",
            param="model",
            code="object_on_other_account",
        )


def resource_urls() -> list[URLPattern]:
    """Return the URL pattern of every row of the table; the longer path first where one begins like another."""
    return [
        re_path(
            rf"^{row.path}(?:/(?P<rest>.+?))?/?$",
            ResourceView.as_view(resource=row),
            name=row.path.replace("/", "-"),
        )
        for row in sorted(RESOURCES, key=lambda row: -len(row.path))
    ]
