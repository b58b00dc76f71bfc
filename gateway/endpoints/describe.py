"""From a request to the call that it asks for: the part of ``gateway.pipeline.describe`` that reads HTTP requests."""

from urllib.parse import unquote_plus

import msgspec
from django.conf import settings

from accounts.caller import Caller
from gateway.body.encoding import unpack
from gateway.body.json import check_json_type
from gateway.call.by_size import aside, by_size
from gateway.call.call import Call
from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.objects.operations import PROXY_READ, PROXY_WRITE
from gateway.pipeline import describe
from gateway.state import state
from providers.routing.naming import is_naming

PROVIDER_NAME = b"x-tfy-provider-name"
JSON_HEADERS = [(b"content-type", b"application/json")]


def begin_call(request: InferenceRequest, caller: Caller, operation: Operation) -> Call:
    """Return the call of an authenticated request, its headers read, registered with the request.

    Raises :class:`~gateway.call.errors.InvalidRequest` for a header that is not valid.
    """
    query = request.scope.get("query_string", b"").decode("latin1")
    place = request.resolver_match.kwargs if request.resolver_match is not None else {}
    if query and operation not in (PROXY_READ, PROXY_WRITE):
        query = without_models(query)
    call = request.call = describe.begin(caller, operation, request_id=request.request_id, query=query)
    call.head_only = request.head_only
    call.method = request.method or ""
    call.ticket = request.ticket
    call.trace.received_ns = request.received_ns
    headers = request.raw_headers
    call.account_name = state.directory.current_name(place.get("account", ""))
    call.account_binds = bool(call.account_name)
    call.model_of_path = place.get("deployment", "")
    describe.read_headers(call, headers)
    return call


def without_models(query: str) -> str:
    """Return a query that goes on to an upstream without what names a model: the body or the path does that here."""
    return "&".join(part for part in query.split("&") if not is_naming(unquote_plus(part.partition("=")[0]), top=True))


def account_of_header(request: InferenceRequest) -> str:
    """Return the present name of the account that the header of a request without a call names; empty without one."""
    return state.directory.current_name(request.raw_headers.get(PROVIDER_NAME, b"").decode("latin1").strip())


def account_of_address(request: InferenceRequest) -> str:
    """Return the present name of the account that the address of a request without a call names; empty without one."""
    place = request.resolver_match.kwargs if request.resolver_match is not None else {}
    return state.directory.current_name(place.get("account", ""))


async def read_json_body(request: InferenceRequest, call: Call, *, may_be_empty: bool = False) -> None:
    """Read the request's JSON body into the call. Raises what the body's bounds and form are refused with."""
    content_type = request.raw_headers.get(b"content-type", b"")
    if not may_be_empty:
        check_json_type(content_type)
    raw = await read_unpacked_body(request)
    if raw or not may_be_empty:
        check_json_type(content_type)
        await by_size(len(raw), describe.read_json, call, raw)


async def read_unpacked_body(request: InferenceRequest) -> bytes:
    """Return the request's body as it was before it was packed.

    Raises what its bounds are refused with; what it unpacks to counts as bytes in flight, like any body's.
    """
    raw = await request.read_body(settings.MAX_BODY_BYTES, settings.BODY_TIMEOUT)
    encoding = request.raw_headers.get(b"content-encoding")
    if encoding is None:
        return raw
    unpacked = await aside(unpack, raw, encoding, settings.MAX_BODY_BYTES)
    if request.ticket is not None:
        request.ticket.take(max(0, len(unpacked) - len(raw)))
    return unpacked


def json_reply(content: object, status: int = 200) -> Reply:
    """Return ``content`` as a JSON reply of our own."""
    return Reply(status, list(JSON_HEADERS), msgspec.json.encode(content))
