"""``/proxy/{path}``: the vendor's own path and body, on accounts that allow the path.

For what no other endpoint covers.
"""

import fnmatch
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec
from django.conf import settings

from gateway.access import accounts as access_accounts
from gateway.access import grants
from gateway.access import models as access
from gateway.body import json as json_body
from gateway.body.references import find_references
from gateway.body.upload import MultipartUpload, reference_field
from gateway.call import errors
from gateway.call.body import Body
from gateway.call.call import Call
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import InferenceView
from gateway.endpoints.describe import begin_call
from gateway.endpoints.resources import BODY_METHODS, MULTIPART
from gateway.endpoints.uploading import closing_on_error, send_upload
from gateway.objects import operations, ownership
from gateway.objects.records import visible
from gateway.objects.store import objects
from gateway.pipeline import run as pipeline_run
from providers.snapshot import AccountSnapshot

FORM = b"application/x-www-form-urlencoded"
PATH_CHARACTERS = 2000
_any = msgspec.json.Decoder()


class ProxyView(InferenceView):
    """The vendor's own surface, as far as an account's patterns open it."""

    async def get(self, request: InferenceRequest, rest: str = "", **kwargs: Any) -> Reply:
        """Pass a call on, whatever its method."""
        return await self.serve(request, rest)

    post = put = patch = delete = get

    async def serve(self, request: InferenceRequest, rest: str) -> Reply:
        """Check the path against the account's patterns, and the ids that the call mentions, and send it on."""
        call = begin_call(
            request, self.caller, operations.PROXY_WRITE if request.method in BODY_METHODS else operations.PROXY_READ
        )
        if not call.account_name:
            raise errors.InvalidRequest(
                "Set the header x-tfy-provider-name to the provider account that this path is for.",
                param="x-tfy-provider-name",
                code="provider_account_required",
            )
        account = access_accounts.account_of(self.caller, call.account_name)
        path = check_proxy_path(account, rest)
        call.account_name, call.path = account.name, path
        call.endpoint = f"proxy/{path}"[:100]
        call.base_url = vendor_root(account.url)
        await self._check_mentioned(call, account, [*rest.split("/"), *(value for _, value in parse_qsl(call.query))])
        if request.method not in BODY_METHODS:
            check_proxy_model(call, account)
            return await pipeline_run.run(call)
        content_type = request.raw_headers.get(b"content-type", b"")
        if content_type.lower().startswith(MULTIPART):
            return await self._send_upload(request, call, account)
        raw = await request.read_body(settings.MAX_BODY_BYTES, settings.BODY_TIMEOUT)
        call.body = Body(raw, content_type=content_type.decode("latin1"))
        read_any_body(call, content_type)
        check_proxy_model(call, account)
        return await pipeline_run.run(call)

    async def _send_upload(self, request: InferenceRequest, call: Call, account: AccountSnapshot) -> Reply:
        upload = MultipartUpload(request, settings.MAX_UPLOAD_BYTES, ("model",))
        with closing_on_error(upload):
            while await upload.keep():
                continue
            call.references = upload.references
            check_proxy_model(call, account, upload.values.get("model", ""))
            return await send_upload(request, call, upload)

    async def _check_mentioned(self, call: Call, account: AccountSnapshot, words: list[str]) -> None:
        """Raise :class:`~gateway.call.errors.NotFound` when a word of the address is the id of someone else's object.

        Words that no record knows pass: whoever opened the path opened it for them.
        """
        ids = [word for word in words if ownership.is_id(word)]
        for object_id, records in (await objects.find_many(ids)).items():
            here = [owned for owned in records if owned.account_name == account.name]
            if here and not visible(self.caller, here[0], account.isolation):
                raise ownership.unknown(object_id)


def read_any_body(call: Call, content_type: bytes) -> None:
    """Note the ids that a body mentions, whatever type it says it has: vendors guess.

    The body itself goes on as it came.
    """
    if not call.body.raw:
        return
    if content_type.lower().startswith(FORM):
        pairs = parse_qsl(call.body.raw.decode("latin1"))
        call.references = [(name, value) for key, value in pairs if value and (name := reference_field(key))]
        return
    try:
        _any.decode(call.body.raw)
    except (ValueError, RecursionError):
        if json_body.is_json(content_type):
            raise errors.InvalidRequest("The body is not valid JSON.", code="invalid_json") from None
        return
    if call.body.raw.lstrip()[:1] == b"{":
        call.body.fields = json_body.decode_fields(call.body.raw)
        call.stream = json_body.is_true(call.body.fields.get("stream"))
        call.references = find_references(call.body.raw, call.body.fields)
    else:
        call.references = find_references(call.body.raw, {"": msgspec.Raw(call.body.raw)})


def check_proxy_model(call: Call, account: AccountSnapshot, model: str = "") -> None:
    """Raise :class:`~gateway.call.errors.ModelNotFound` for a model, by the vendor's name, that the caller may not
    call.

    A model that the account does not list passes, but a token that is limited to some models reaches those alone.
    """
    model = model or json_body.text_of(call.body.fields.get("model"))
    listed = [entry for entry in account.models.values() if model and model in (entry.upstream_id, entry.name)]
    limits = call.caller.limits
    if any(grants.may_call(call.caller, account, entry) for entry in listed):
        return
    if listed or (limits is not None and account.name not in limits):
        raise access.not_found(model, f" on provider account {account.name!r}")


def check_proxy_path(account: AccountSnapshot, path: str) -> str:
    """Return ``path`` when the account's patterns allow it; raise :class:`~gateway.call.errors.Forbidden` otherwise."""
    segments = path.split("/")
    unsafe = any(
        segment in ("", ".", "..") or "\\" in segment or "%" in segment or not segment.isprintable()
        for segment in segments
    )
    if unsafe or len(path) > PATH_CHARACTERS:
        raise errors.InvalidRequest(f"{path[:200]!r} is not a plain path.", code="invalid_path")
    allowed = any(
        len(pattern.strip("/").split("/")) <= len(segments) and fnmatch.fnmatchcase(path, pattern.strip("/"))
        for pattern in account.proxy_paths
    )
    if not allowed:
        raise errors.Forbidden(
            f"The path {path[:200]!r} is not open on the provider account {account.name!r}. A manager of the account "
            f"opens it "
            "by adding a pattern to its proxy paths (manifest: proxy_paths: [v1/rerank, v1/agents/*]).",
            code="proxy_path_closed",
        )
    return "/".join(quote(segment, safe="!$&'()*+,;=:@-._~") for segment in segments)


def vendor_root(url: str) -> str:
    """Return an account's address without its version: the vendor's own paths begin with it."""
    return url.removesuffix("/v1")
