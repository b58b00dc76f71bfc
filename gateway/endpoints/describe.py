"""From a request to the call that it asks for."""

import asyncio
import hashlib

import msgspec

from accounts.caller import Caller
from gateway.access.accounts import only_account
from gateway.call import errors
from gateway.call.call import Call, Operation
from gateway.call.headers import FORWARDED, read_options
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.objects import ownership
from gateway.state import state

IDEMPOTENCY_KEY = b"idempotency-key"
JSON_HEADERS = [(b"content-type", b"application/json")]


async def choose_account(call: Call, model_type: str = "") -> None:
    """Set the account of a call that names none: of the header, of an object that it refers to, or the only one that fits.

    A model without its account means that account's, too, when the call refers to an object there.
    """
    named = call.model_asked.partition("/")[0] in state.directory.accounts
    if call.references and not named and not call.options.provider_name:
        call.options.provider_name = await ownership.home_of(call)
    if not call.model_asked:
        name = call.options.provider_name
        call.account_name = name or only_account(call.caller, model_type or call.operation.model_type)


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
    state.running.add(call)
    return call


def json_reply(content: object, status: int = 200) -> Reply:
    """Return ``content`` as a JSON reply of our own."""
    return Reply(status, list(JSON_HEADERS), msgspec.json.encode(content))
