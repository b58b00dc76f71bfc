"""The views of the inference paths: DRF's APIView, awaited by the lean handler."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest
from rest_framework.views import APIView

from accounts.caller import Caller
from gateway.access import accounts as abilities
from gateway.access.accounts import only_account
from gateway.access.authentication import authenticate
from gateway.body import json as json_body
from gateway.body.json import MODEL_MISSING
from gateway.body.references import find_references
from gateway.call import errors
from gateway.call.call import Call, Operation
from gateway.call.headers import FORWARDED
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.describe import begin_call, choose_account
from gateway.objects import ownership
from gateway.objects.store import mark_deleted, objects
from gateway.pipeline import run as pipeline_run

METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH")


class OpenView(APIView):
    """A view served by the lean handler. Methods are coroutines ``(request, **kwargs) -> Reply``; errors go to one table."""

    view_is_async = True
    answers_head: ClassVar[bool] = False
    """Whether ``HEAD`` is answered like ``GET``, as those who watch services ask; the server leaves the body out."""

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Reply:  # type: ignore[override]
        assert isinstance(request, InferenceRequest)  # these views are served by the lean handler only
        method = "GET" if request.method == "HEAD" and self.answers_head else request.method or ""
        handler = getattr(self, method.lower(), None)
        if handler is None or method not in METHODS:
            methods = ", ".join(self.implemented_methods())
            raise errors.MethodNotAllowed(
                f"{request.method} is not supported here. Use {methods}.", headers={"allow": methods}
            )
        self.admit(request)
        reply: Reply = await handler(request, *args, **kwargs)
        return reply

    def admit(self, request: InferenceRequest) -> None:
        """Let anybody in."""

    @classmethod
    def implemented_methods(cls) -> list[str]:
        """Return the HTTP methods that the view answers."""
        return [name for name in METHODS if hasattr(cls, name.lower())]


class InferenceView(OpenView):
    """A view of the inference paths. Every subclass passes the same admission, before anything of the body is read."""

    caller: Caller

    def admit(self, request: InferenceRequest) -> None:
        """Let in whoever has a live token."""
        self.caller = authenticate(request)


class ModelCallView(InferenceView):
    """A ``POST`` of a JSON body that names a model: the shape of most of OpenAI's endpoints.

    Where no model is required, a call without one goes to the account of the header, of an object that it refers to, or to
    the only one that fits.
    """

    operation: ClassVar[Operation]
    model_required: ClassVar[bool] = True

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Describe the call and run it."""
        return await pipeline_run.run(await self.describe(request))

    async def describe(self, request: InferenceRequest) -> Call:
        """Return the call that the request asks for: options, body and the few fields that we act on."""
        headers = request.raw_headers
        call = begin_call(request, self.caller, self.operation)
        json_body.check_json_type(headers.get(b"content-type", b""))
        call.body = await request.read_body(settings.MAX_BODY_BYTES, settings.BODY_TIMEOUT)
        call.fields = fields = json_body.decode_fields(call.body)
        if self.model_required or bytes(fields.get("model", b"null")) != b"null":
            call.model_asked = json_body.text_field(fields, "model", MODEL_MISSING)
        call.references = find_references(call.body, fields, call.operation.path)
        await choose_account(call)
        call.stream = json_body.flag(fields, "stream")
        if call.stream:
            call.wants_usage = json_body.wants_usage(fields.get("stream_options"))
        return call


class ObjectView(InferenceView):
    """Methods on an upstream object by its id: the account comes from the object's record, or from the header.

    Subclasses give the ``operation`` of each method; :meth:`forward` sends the call on as it came.
    """

    operations: ClassVar[dict[str, Operation]]
    model_type: ClassVar[str] = ""
    ability: ClassVar[str] = ""
    """What the account's vendor offers, where no object tells the account (``gateway.access.accounts``); a named one must have it."""
    ability_required: ClassVar[bool] = True

    async def forward(self, request: InferenceRequest, path: str, object_id: str = "") -> Reply:
        """Send the request to ``path`` at the object's account; a successful ``DELETE`` ends the object's record.

        Without an object it goes to the account of the header, of an object that the body refers to, or to the only one that fits.
        """
        call = await self.describe(request, path, object_id)
        return await self.run(call, deletes=object_id if request.method == "DELETE" else "")

    async def describe(self, request: InferenceRequest, path: str, object_id: str = "") -> Call:
        """Return the call; its ``parent`` is the object's record, when the gateway has one."""
        call = begin_call(request, self.caller, self.operations[request.method or ""])
        call.method, call.path = request.method or "", path
        if object_id:
            account, call.parent = await ownership.locate(self.caller, object_id, call.options.provider_name)
            call.account_name = account.name
        if request.method == "GET":
            call.stream = request.GET.get("stream") == "true"
        if request.method in ("POST", "PUT", "PATCH"):
            call.body = await request.read_body(settings.MAX_BODY_BYTES, settings.BODY_TIMEOUT)
            if call.body:
                json_body.check_json_type(request.raw_headers.get(b"content-type", b""))
                call.fields = json_body.decode_fields(call.body)
                call.references = find_references(call.body, call.fields, call.operation.path)
        if not object_id and self.ability:
            name = call.options.provider_name or await ownership.home_of(call)
            call.account_name = abilities.account_for(
                self.caller, name, self.ability, required=self.ability_required
            ).name
        elif not object_id:
            await choose_account(call, self.model_type)
        return call

    async def run(self, call: Call, deletes: str = "") -> Reply:
        """Run the call; when it succeeds, the record of the object ``deletes`` ends."""
        reply = await pipeline_run.run(call)
        if deletes and reply.status < 300:
            await objects.run(mark_deleted, deletes, call.account_name, datetime.now(UTC))
            objects.forget(deletes, call.account_name)
        return reply

    def only_account(self) -> str:
        """Return the one account that the caller may use when no header says which; raise when there are several."""
        return only_account(self.caller)


FORWARDED |= frozenset(name.encode("latin1") for name in settings.FORWARD_HEADERS)
