"""The first stage: from a request, an event of a socket or a line of a batch to the call that it asks for.

:func:`begin` makes the call and registers it, :func:`describe` reads its body and chooses the account of one that names
no model.
"""

import asyncio
import hashlib
from collections.abc import Mapping

from accounts.caller import Caller
from gateway.access import default_models
from gateway.access.accounts import choose_account
from gateway.body import json as json_body
from gateway.body.json import MODEL_MISSING, is_given
from gateway.body.references import find_references
from gateway.call import errors
from gateway.call.body import JSON, Body, Upload
from gateway.call.call import Call, new_request_id
from gateway.call.headers import FORWARDED, Options, read_options
from gateway.call.operation import Operation
from gateway.call.shortened import Shortened, shortened
from gateway.objects import ownership
from gateway.state import state
from providers.upstream.pieces import LARGE_BYTES

IDEMPOTENCY_KEY = b"idempotency-key"
TRACEPARENT = b"traceparent"
# What callers of Anthropic's door say about its versions.
ANTHROPIC = ("anthropic-version", "anthropic-beta")


def begin(
    caller: Caller, operation: Operation, *, options: Options | None = None, request_id: str = "", query: str = ""
) -> Call:
    """Return a new call, registered among the running ones. The code that begins it discards it at its end."""
    call = Call(caller, operation, options or Options(), request_id or new_request_id())
    call.query = query
    call.task = asyncio.current_task()
    state.running.add(call)
    return call


def read_headers(call: Call, headers: Mapping[bytes, bytes]) -> None:
    """Read the contract's headers into the call's options, and keep those that go on to the upstream."""
    call.options = read_options(headers)
    call.session_headers = headers
    named = state.directory.current_name(call.options.provider_name)
    call.account_name = agreed(call.account_name, named) if call.account_binds else call.account_name or named
    call.forwarded = [
        (name.decode("latin1"), value.decode("latin1")) for name, value in headers.items() if name in FORWARDED
    ]
    if TRACEPARENT in headers:
        call.trace.join(headers[TRACEPARENT])
    if call.operation.door == "anthropic":
        call.forwarded += [
            (name, headers[name.encode()].decode("latin1")) for name in ANTHROPIC if name.encode() in headers
        ]
    if IDEMPOTENCY_KEY in headers:
        call.forwarded.append((IDEMPOTENCY_KEY.decode(), own_key(call.caller, headers[IDEMPOTENCY_KEY])))


def agreed(of_address: str, of_header: str) -> str:
    """Return the account that an address, a header or both name, empty when neither does.

    Raises :class:`~gateway.call.errors.InvalidRequest` when they name two.
    """
    if of_address and of_header and of_address != of_header:
        raise errors.InvalidRequest(
            f"The address is for the provider account {of_address!r}, the header x-tfy-provider-name for "
            f"{of_header!r}.",
            param="x-tfy-provider-name",
        )
    return of_address or of_header


def own_key(caller: Caller, key: bytes) -> str:
    """Return an idempotency key of the caller's own: callers share an account's key, and must not share answers by
    guessing. Nor do tokens of one owner that open different models.
    """
    limits = b"" if caller.limits is None else b"\0".join([b"", *(name.encode() for name in sorted(caller.limits))])
    return hashlib.sha256(caller.key.encode() + b"\0" + key + limits).hexdigest()


def read_json(call: Call, raw: bytes, content_type: str = JSON) -> None:
    """Take a JSON body into the call: its fields, the objects that it mentions, and whether it asks for a stream.

    Raises :class:`~gateway.call.errors.InvalidRequest`.
    """
    short = shortened(raw) if len(raw) > LARGE_BYTES else None
    if short is None or not _read_short(call, short):
        short, fields = None, json_body.decode_fields(raw)
        call.references += find_references(raw, fields, call.endpoint, call.operation.door)
    else:
        fields = short.whole_fields()
    call.body = Body(raw, fields, content_type, short=short)
    call.stream = call.stream or json_body.flag(fields, "stream")
    if call.stream:
        call.wants_usage = json_body.wants_usage(fields.get("stream_options"))


def _read_short(call: Call, short: Shortened) -> bool:
    """Decode and search a body by its short text; return whether that says all. What is wrong with a body is said of
    the whole.
    """
    try:
        short.fields = json_body.decode_fields(short.text)
        found = find_references(short.text, short.fields, call.endpoint, call.operation.door)
    except errors.InvalidRequest:
        return False
    if any(short.is_marked(object_id) for _, object_id in found):
        return False
    call.references += found
    return True


def read_upload(call: Call, upload: Upload) -> None:
    """Take a body that streams through into the call, as far as its parts have come."""
    call.body = Body(content_type=upload.content_type, upload=upload)
    call.references += upload.references
    call.stream = upload.wants_stream
    call.audio = upload.audio


def read_model(call: Call, *, required: bool) -> None:
    """Take the model that the address names into the call, or else the body. Whitespace around a name is ignored, in
    JSON and in forms.

    Raises :class:`~gateway.call.errors.InvalidRequest` when it names none and one is ``required``; an account's default
    serves as one.
    """
    required = required and not call.operation.unnamed
    if call.model_of_path:
        name = call.model_of_path
    elif call.body.upload is not None:
        name = call.body.upload.values.get("model", "")
    elif required or is_given(call.body.fields, "model"):
        name = json_body.text_field(call.body.fields, "model", MODEL_MISSING)
    else:
        name = ""
    call.model_asked = name.strip()
    if required and not call.model_asked:
        raise errors.InvalidRequest(MODEL_MISSING, param="model", code="missing_required_parameter")
    prefix, slash, _ = call.model_asked.partition("/")
    other = state.directory.accounts.get(prefix) if slash and call.account_binds else None
    if other is not None and other.name != call.account_name:
        raise errors.InvalidRequest(
            f"The address is for the provider account {call.account_name!r}; it can't call {call.model_asked[:200]!r}.",
            param="model",
            code="model_on_other_account",
        )


async def find_account(call: Call) -> None:
    """Choose the account of a call that names none: of the header, of an object that it refers to, or the only one that
    fits; and its model, where OpenAI asks for none.

    A model without its account means that account's, too, when the call refers to an object there.
    """
    named = call.model_asked.partition("/")[0] in state.directory.accounts
    if call.references and not named and not call.account_name:
        call.account_name = await ownership.home_of(call)
    if call.model_asked:
        return
    if call.operation.unnamed:
        prompted = call.operation.model_type == "responses" and is_given(call.body.fields, "prompt")
        choose = default_models.choose_for_prompt if prompted else default_models.choose
        target = choose(call.caller, call.operation, call.account_name)
        call.account_name = target.account.name
        call.model_asked = target.model.public_name if target.model.name else ""
    else:
        call.account_name = choose_account(call.caller, call.operation, call.account_name).name
