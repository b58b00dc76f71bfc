"""The views of the inference paths: DRF's APIView, awaited by the lean handler."""

from typing import Any, ClassVar

from django.http import HttpRequest
from rest_framework.views import APIView

from accounts.caller import Caller
from gateway.access.authentication import authenticate
from gateway.call import errors
from gateway.call.call import Call
from gateway.call.load import load
from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.describe import begin_call, read_json_body
from gateway.endpoints.idempotency import once
from gateway.objects import ownership
from gateway.objects.store import mark_deleted, objects
from gateway.pipeline import describe
from gateway.pipeline import run as pipeline_run
from gateway.pipeline.describe import IDEMPOTENCY_KEY

METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH")


class OpenView(APIView):
    """A view served by the lean handler.

    Methods are coroutines ``(request, **kwargs) -> Reply``; errors go to one table. ``HEAD`` is answered like ``GET``:
    the server leaves the body out.
    """

    view_is_async = True
    door: ClassVar[str] = "openai"
    """The dialect that errors are written in."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view without the coroutine that exempts it from checks of CSRF: no middleware runs before it."""
        return super().as_view(**initkwargs).__wrapped__  # type: ignore[attr-defined]  # what csrf_exempt wraps

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Take the request, without Django's ``head``: a bound method of its own would make each view a cycle."""
        self.request: HttpRequest = request  # type: ignore[assignment]  # Django's own, not REST framework's
        self.args, self.kwargs = args, kwargs

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Reply:  # type: ignore[override]
        assert isinstance(request, InferenceRequest)  # these views are served by the lean handler only
        method = request.method or ""
        handler = getattr(self, method.lower(), None)
        if handler is None or method not in METHODS:
            methods = ", ".join(self.implemented_methods())
            raise errors.MethodNotAllowed(
                f"{request.asked_method} is not supported here. Use {methods}.", headers={"allow": methods}
            )
        caller = self.admit(request)
        if caller is not None and IDEMPOTENCY_KEY in request.raw_headers and method == "POST":
            return await once(request, caller, lambda: handler(request, *args, **kwargs))
        reply: Reply = await handler(request, *args, **kwargs)
        return reply

    def admit(self, request: InferenceRequest) -> Caller | None:
        """Let every request in, with or without a token."""
        return None

    @classmethod
    def implemented_methods(cls) -> list[str]:
        """Return the HTTP methods that the view answers."""
        return [name for name in METHODS if hasattr(cls, name.lower())]


class InferenceView(OpenView):
    """A view of the inference paths. Every subclass passes the same admission, before anything of the body is read."""

    caller: Caller
    key_in_query: ClassVar[bool] = False
    """Whether the token may come in the query, as some of Google's clients send it."""

    def admit(self, request: InferenceRequest) -> Caller:
        """Admit every caller with a live token."""
        self.caller = authenticate(request, in_query=self.key_in_query)
        request.ticket = load.begin(self.caller.key)
        return self.caller


class ModelCallView(InferenceView):
    """A ``POST`` of a JSON body that names a model: the shape of most of OpenAI's endpoints.

    Where no model is required, a call without one goes to the account of the header, of an object that it refers to, or
    to the only one that fits.
    """

    operation: ClassVar[Operation]
    model_required: ClassVar[bool] = True

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Describe the call and run it."""
        return await pipeline_run.run(await self.describe(request))

    async def describe(self, request: InferenceRequest) -> Call:
        """Return the call that the request asks for: options, body and the few fields that we act on."""
        call = begin_call(request, self.caller, self.operation)
        await read_json_body(request, call)
        describe.read_model(call, required=self.model_required)
        await describe.find_account(call)
        return call


class ObjectView(InferenceView):
    """Methods on an upstream object by its id: the account comes from the object's record, or from the header.

    Subclasses give the ``operation`` of each method; :meth:`forward` sends the call on as it came.
    """

    operations: ClassVar[dict[str, Operation]]

    async def forward(self, request: InferenceRequest, path: str, object_id: str = "") -> Reply:
        """Send the request to ``path`` at the object's account; a successful ``DELETE`` ends the object's record.

        Without an object it goes to the account of the header, of an object that the body refers to, or to the only one
        that fits.
        """
        call = await self.describe(request, path, object_id)
        return await self.run(call, deletes=object_id if request.method == "DELETE" else "")

    async def describe(self, request: InferenceRequest, path: str, object_id: str = "") -> Call:
        """Return the call; its ``parent`` is the object's record, when the gateway has one."""
        call = begin_call(request, self.caller, self.operations[request.method or ""])
        call.path = path
        if object_id:
            account, call.parent = await ownership.locate(self.caller, object_id, call.account_name)
            call.account_name = account.name
        if call.method == "GET":
            call.stream = request.GET.get("stream") == "true"
        if request.method in ("POST", "PUT", "PATCH"):
            await read_json_body(request, call, may_be_empty=True)
        if not object_id:
            await describe.find_account(call)
        return call

    async def run(self, call: Call, deletes: str = "") -> Reply:
        """Run the call; when it succeeds, the record of the object ``deletes`` ends."""
        reply = await pipeline_run.run(call)
        if deletes and reply.status < 300:
            await objects.run(mark_deleted, deletes, call.account_name)
            objects.forget(deletes, call.account_name)
        return reply
