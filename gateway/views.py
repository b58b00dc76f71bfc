"""The views of the inference paths: DRF's APIView, awaited by the lean handler."""

import asyncio
import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from time import time
from typing import Any, ClassVar

import msgspec
from django.conf import settings
from django.http import HttpRequest
from rest_framework.views import APIView

from accounts import tokens
from gateway import abilities, errors, ownership, pipeline
from gateway import body as json_body
from gateway.call import Call, Caller, Operation, Reply, read_options
from gateway.handler import InferenceRequest
from gateway.multipart import MultipartUpload
from gateway.objects import mark_deleted, objects
from gateway.policies import access
from gateway.references import find_references
from gateway.runtime import runtime

BEARER = b"bearer "
# What of a client's request goes on to the upstream. Credentials, cookies and hop-by-hop headers never do.
FORWARDED = frozenset(b"accept user-agent openai-beta x-client-request-id traceparent tracestate".split())
IDEMPOTENCY_KEY = b"idempotency-key"
CREDENTIAL_HEADERS = frozenset({b"authorization", b"api-key"})
METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH")
MODEL_MISSING = "You must provide a 'model', named 'account/model' like 'openai-main/gpt-4o-mini'."
JSON_HEADERS = [(b"content-type", b"application/json")]


def authenticate(request: InferenceRequest) -> Caller:
    """Return whom the request's token belongs to. Raises :class:`~gateway.errors.BadToken`.

    The token stands in ``Authorization: Bearer``, or in ``api-key`` as Azure's clients send it.
    """
    if len(request.raw_headers) != len(request.scope["headers"]):
        refuse_doubled_headers(request.scope)
    return caller_of(presented_token(request.raw_headers))


def refuse_doubled_headers(scope: Mapping[str, Any]) -> None:
    """Raise when a header that we act on came twice: whoever stands before us may have read the other one."""
    seen: set[bytes] = set()
    for name, _ in scope["headers"]:
        if name in seen and (name in CREDENTIAL_HEADERS or name.startswith(b"x-tfy-")):
            header = name.decode("latin1")
            raise errors.InvalidRequest(f"The header {header} was sent twice. Send it once.", param=header)
        seen.add(name)


def caller_of(presented: str) -> Caller:
    """Return whom a token belongs to. Raises :class:`~gateway.errors.BadToken`, or ``Unavailable`` before the picture is loaded."""
    check_loaded()
    caller = runtime.directory.caller(tokens.digest(presented))
    if caller is None:
        fault = tokens.fault(presented)
        why = f"{fault[0].upper()}{fault[1:]}." if fault else "No such token, or it was revoked long ago."
        raise errors.BadToken(f"Incorrect API key provided: {_masked(presented)}. {why}")
    check_alive(caller)
    runtime.ledger.touch(caller.token_id, time())
    return caller


def check_loaded() -> None:
    """Raise :class:`~gateway.errors.Unavailable` until the picture is loaded."""
    if not runtime.directory.loaded:
        raise errors.Unavailable(
            "Gatehouse is starting: its configuration is not loaded yet.", headers={"retry-after": "1"}
        )


def check_alive(caller: Caller) -> None:
    """Raise :class:`~gateway.errors.BadToken` when the caller's token opens nothing any more."""
    if caller.state == "revoked":
        raise errors.BadToken(f"The token {caller.prefix}… was revoked. Ask for a new one.", code="token_revoked")
    if caller.state != "active":
        raise errors.BadToken(f"The holder of the token {caller.prefix}… is disabled.", code="token_holder_disabled")
    if caller.expires_at is not None and caller.expires_at <= time():
        raise errors.BadToken(f"The token {caller.prefix}… has expired. Ask for a new one.", code="token_expired")


def presented_token(headers: Mapping[bytes, bytes]) -> str:
    """Return the token that a request's headers present. Raises :class:`~gateway.errors.BadToken`."""
    header = headers.get(b"authorization", b"")
    bearer = header[7:].strip() if header[:7].lower() == BEARER else b""
    if bearer:
        return bearer.decode("latin1")
    azure = headers.get(b"api-key", b"").strip()
    if azure:
        return azure.decode("latin1")
    raise errors.BadToken(
        "You didn't provide an API key. Send it in the Authorization header: 'Authorization: Bearer YOUR_TOKEN'.",
        code="missing_api_key",
    )


def _masked(token: str) -> str:
    shown = "".join(sign for sign in token[:6] if sign.isascii() and sign.isprintable())
    return f"{shown}…" if len(token) > 12 else "…"


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
        return await pipeline.run(await self.describe(request))

    async def describe(self, request: InferenceRequest) -> Call:
        """Return the call that the request asks for: options, body and the few fields that we act on."""
        headers = request.raw_headers
        call = begin_call(request, self.caller, self.operation)
        json_body.check_json_type(headers.get(b"content-type", b""))
        call.body = await request.read_body(settings.MAX_BODY_BYTES, settings.BODY_TIMEOUT)
        call.fields = fields = json_body.decode_fields(call.body)
        if self.model_required or bytes(fields.get("model", b"null")) != b"null":
            call.model_asked = json_body.text_field(fields, "model", MODEL_MISSING)
        call.references = find_references(call.body, fields)
        await choose_account(call)
        call.stream = json_body.flag(fields, "stream")
        if call.stream:
            call.wants_usage = json_body.wants_usage(fields.get("stream_options"))
        return call


class ModelUploadView(InferenceView):
    """A ``POST`` of a multipart body that names a model and streams through."""

    operation: ClassVar[Operation]
    wanted: ClassVar[tuple[str, ...]] = ("stream",)

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Read up to the model, then send everything on as it comes."""
        call = begin_call(request, self.caller, self.operation)
        upload = MultipartUpload(request, settings.MAX_UPLOAD_BYTES, self.wanted)
        with closing_on_error(upload):
            await upload.open()
            call.model_asked = upload.values["model"].strip()
            if not call.model_asked:
                raise errors.InvalidRequest(MODEL_MISSING, param="model", code="missing_required_parameter")
            call.references = upload.references
            call.stream = upload.wants_stream
        return await send_upload(request, call, upload)


async def send_upload(request: InferenceRequest, call: Call, upload: MultipartUpload) -> Reply:
    """Run a call whose body is ``upload``, and close the upload with it.

    An upstream may answer before it has read everything: then the rest of the body is read here, so that a client which only
    reads after it has written gets to see the answer.
    """
    call.upload = upload
    with closing_on_error(upload):
        reply = await pipeline.run(call)
    if reply.stream is not None:
        reply.also_on_close(upload.close)
        return reply
    upload.close()
    if not request.body_read:
        await request.discard_body()
    return reply


@contextlib.contextmanager
def closing_on_error(upload: MultipartUpload) -> Iterator[None]:
    """Close ``upload`` when the block raises."""
    try:
        yield
    except BaseException:  # whatever ends the call: the disk space goes back
        upload.close()
        raise


class ObjectView(InferenceView):
    """Methods on an upstream object by its id: the account comes from the object's record, or from the header.

    Subclasses give the ``operation`` of each method; :meth:`forward` sends the call on as it came.
    """

    operations: ClassVar[dict[str, Operation]]
    model_type: ClassVar[str] = ""
    ability: ClassVar[str] = ""
    """What the account's vendor offers, where no object tells the account (``gateway.abilities``); a named one must have it."""
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
                call.references = find_references(call.body, call.fields)
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
        reply = await pipeline.run(call)
        if deletes and reply.status < 300:
            await objects.run(mark_deleted, deletes, call.account_name, datetime.now(UTC))
            objects.forget(deletes, call.account_name)
        return reply

    def only_account(self) -> str:
        """Return the one account that the caller may use when no header says which; raise when there are several."""
        return only_account(self.caller)


async def choose_account(call: Call, model_type: str = "") -> None:
    """Set the account of a call that names none: of the header, of an object that it refers to, or the only one that fits.

    A model without its account means that account's, too, when the call refers to an object there.
    """
    named = call.model_asked.partition("/")[0] in runtime.directory.accounts
    if call.references and not named and not call.options.provider_name:
        call.options.provider_name = await ownership.home_of(call)
    if not call.model_asked:
        name = call.options.provider_name
        call.account_name = name or only_account(call.caller, model_type or call.operation.model_type)


def only_account(caller: Caller, model_type: str = "") -> str:
    """Return the one account that ``caller`` may use (for ``model_type``); raise when there are several, or none."""
    names = sorted(
        account.name
        for account in runtime.directory.accounts.values()
        if account.enabled and access.may_use(caller, account) and access.offers(caller, account, model_type)
    )
    if len(names) == 1:
        return names[0]
    raise errors.InvalidRequest(
        "Set the header x-tfy-provider-name to the provider account that this call is for"
        + (f", for example {names[0]}." if names else "."),
        param="x-tfy-provider-name",
        code="provider_account_required",
    )


def own_key(caller: Caller, key: bytes) -> str:
    """Return an idempotency key of the caller's own: callers share an account's key, and must not share answers by guessing."""
    return hashlib.sha256(caller.key.encode() + b"\0" + key).hexdigest()


def begin_call(request: InferenceRequest, caller: Caller, operation: Operation) -> Call:
    """Return the call for an authenticated request, its headers read, registered with the request."""
    headers = request.raw_headers
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise errors.UnsupportedMedia("Send the body as it is: the gateway does not unpack a Content-Encoding.")
    call = Call(caller, operation, read_options(headers), request.request_id)
    call.query = request.scope.get("query_string", b"").decode("latin1")
    call.forwarded = [
        (name.decode("latin1"), value.decode("latin1")) for name, value in headers.items() if name in FORWARDED
    ]
    if IDEMPOTENCY_KEY in headers:
        call.forwarded.append((IDEMPOTENCY_KEY.decode(), own_key(caller, headers[IDEMPOTENCY_KEY])))
    call.task = asyncio.current_task()
    request.call = call
    runtime.running.add(call)
    return call


def json_reply(content: object, status: int = 200) -> Reply:
    """Return ``content`` as a JSON reply of our own."""
    return Reply(status, list(JSON_HEADERS), msgspec.json.encode(content))


FORWARDED |= frozenset(name.encode("latin1") for name in settings.FORWARD_HEADERS)
