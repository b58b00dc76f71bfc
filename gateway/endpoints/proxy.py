"""``/proxy/{path}``: the vendor's own path and body, on accounts that allow the path.

For what no other endpoint covers.
"""

import fnmatch
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec

from gateway.access import accounts as access_accounts
from gateway.access import hidden_models, named_models, proxied_models
from gateway.body import json as json_body
from gateway.body.mentions import Mentions, read_body
from gateway.body.object_names import normal_id
from gateway.body.readable_types import FORM
from gateway.body.references import find_references
from gateway.body.upload import MultipartUpload, reference_field
from gateway.call import errors
from gateway.call.body import Body
from gateway.call.by_size import by_size
from gateway.call.call import Call
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import InferenceView
from gateway.endpoints.describe import begin_call, read_unpacked_body
from gateway.endpoints.resources import BODY_METHODS, MULTIPART
from gateway.endpoints.uploading import closing_on_error, send_upload
from gateway.objects import operations, ownership, selection
from gateway.pipeline import run as pipeline_run
from providers.snapshot import AccountSnapshot

PATH_CHARACTERS = 2000


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
        mentions = Mentions(hidden_models.looked_for(self.caller, account))
        mentions.add_path(rest)
        mentions.add_text(call.query.encode())
        mentions.add_pairs(parse_qsl(call.query.replace(";", "&"), keep_blank_values=True))
        mentions.add_pairs(parse_qsl(call.query, keep_blank_values=True))
        if request.method not in BODY_METHODS:
            await check_mentions(call, account, mentions)
            return await pipeline_run.run(call)
        content_type = request.raw_headers.get(b"content-type", b"")
        if content_type.lower().startswith(MULTIPART):
            return await self._send_upload(request, call, account, mentions)
        raw = await read_unpacked_body(request)
        call.body = Body(raw, content_type=content_type.decode("latin1"))
        await by_size(len(raw), read_any_body, call, content_type, mentions)
        if raw:
            selection.check_path(self.caller, account, path, call.body.fields)
        await check_mentions(call, account, mentions)
        return await pipeline_run.run(call)

    async def _send_upload(
        self, request: InferenceRequest, call: Call, account: AccountSnapshot, mentions: Mentions
    ) -> Reply:
        upload = MultipartUpload(request, ("model",), keeps_others=True)
        with closing_on_error(upload):
            while await upload.keep():
                continue
            call.references = upload.references
            for name, value in upload.others:
                mentions.add_text(value)
                mentions.add_pairs([(name, value.decode("utf-8", "replace"))])
            selection.check_path(self.caller, account, call.path, {})
            await check_mentions(call, account, mentions)
            return await send_upload(request, call, upload)


def read_any_body(call: Call, content_type: bytes, mentions: Mentions) -> None:
    """Take what a body mentions, in whatever form it is; it goes on as it came. Raises what ``read_body`` raises."""
    raw = call.body.raw
    if not raw:
        return
    value = read_body(mentions, raw, content_type)
    if isinstance(value, dict):
        call.body.fields = json_body.decode_fields(raw)
        call.stream = json_body.is_true(call.body.fields.get("stream"))
        call.references = find_references(raw, call.body.fields)
    elif value is not None:
        call.references = find_references(raw, {"": msgspec.Raw(msgspec.json.encode(value))})
    elif content_type.lower().startswith(FORM):
        pairs = parse_qsl(raw.decode("latin1"))
        call.references = [(name, normal_id(value)) for key, value in pairs if value and (name := reference_field(key))]


def _check_models(call: Call, account: AccountSnapshot, mentions: Mentions) -> None:
    words = chain(mentions.words, mentions.routing)
    proxied_models.check(call.caller, account, mentions.models, words, mentions.in_path)
    named_models.check_configuration(call.caller, account, call.body.fields)
    if call.method in BODY_METHODS:
        proxied_models.check_unnamed(call.caller, account, call.path, mentions.models)
        in_path = (forms[1] for forms in mentions.in_path)
        asked = json_body.text_of(call.body.fields.get("model"))
        call.named = proxied_models.meant(account, asked, chain(mentions.models, in_path))


async def check_mentions(call: Call, account: AccountSnapshot, mentions: Mentions) -> None:
    """Raise for a model that the caller may not call, and for the id of an object that the caller may not know of.

    Words that no record knows pass: the manager who opened the path opened it for them.
    """
    await by_size(call.body.size, _check_models, call, account, mentions)
    await ownership.check_words(call.caller, account, mentions.ids)


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
