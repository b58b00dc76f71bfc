"""OpenAI's other resources through one table, and ``/proxy/`` for what no row covers.

Both send the vendor's own path and body on, with the same admission, ownership, streaming and records as everything else.
"""

import asyncio
import fnmatch
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
from django.conf import settings
from django.urls import URLPattern, re_path

from gateway import body as json_body
from gateway import errors, ownership, pipeline
from gateway.call import Call, Operation, Reply
from gateway.handler import InferenceRequest
from gateway.listing import list_body, list_owned, read_page
from gateway.multipart import MultipartUpload
from gateway.objects import mark_deleted, objects
from gateway.policies import access
from gateway.references import find_references
from gateway.resources import RESOURCES, Resource
from gateway.runtime import runtime
from gateway.views import ObjectView, begin_call, json_reply
from providers.adapters import openai as openai_dialect
from providers.client import UpstreamFailure, UpstreamRequest
from providers.picture import AccountPicture, Target

LIST_CONCURRENCY = 8
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
MULTIPART = b"multipart/form-data"
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any = msgspec.json.Decoder()


class PassthroughView(ObjectView):
    """What the resources and the proxy share: a request that is sent on with its own method, path, query and body."""

    async def send(self, request: InferenceRequest, call: Call, account: AccountPicture, *, model: bool) -> Reply:
        """Send ``call`` to ``account``; with ``model``, a model that the body names is checked and given its upstream name."""
        call.account_name = account.name
        call.options.provider_name = account.name
        if request.method not in BODY_METHODS:
            return await pipeline.run(call)
        if request.raw_headers.get(b"content-type", b"").lower().startswith(MULTIPART):
            return await self._send_upload(request, call, model=model)
        call.body = await request.read_body(settings.MAX_BODY_BYTES, settings.BODY_TIMEOUT)
        if call.body:
            json_body.check_json_type(request.raw_headers.get(b"content-type", b""))
            call.fields = json_body.decode_fields(call.body)
            call.references += find_references(call.body, call.fields)
            call.stream = json_body.is_true(call.fields.get("stream"))
            if model:
                call.model_asked = json_body.text_of(call.fields.get("model"))
                check_nested_models(call, account)
        return await pipeline.run(call)

    async def _send_upload(self, request: InferenceRequest, call: Call, *, model: bool) -> Reply:
        upload = MultipartUpload(request, settings.MAX_UPLOAD_BYTES)
        try:
            if model:
                await upload.open(model="optional")
                call.model_asked = upload.values.get("model", "").strip()
            call.upload = upload
            return await pipeline.run(call)
        finally:
            upload.close()


class ResourceView(PassthroughView):
    """One row of the table: its collection, its objects, and what stands below them."""

    resource: Resource = RESOURCES[0]

    async def get(self, request: InferenceRequest, rest: str = "", **kwargs: Any) -> Reply:
        """List the caller's objects, or read one, or what belongs to it."""
        return await self.serve(request, rest)

    async def post(self, request: InferenceRequest, rest: str = "", **kwargs: Any) -> Reply:
        """Make an object, change one, or do something with it."""
        return await self.serve(request, rest)

    async def delete(self, request: InferenceRequest, rest: str = "", **kwargs: Any) -> Reply:
        """Delete an object, or what belongs to it."""
        return await self.serve(request, rest)

    async def serve(self, request: InferenceRequest, rest: str) -> Reply:
        """Resolve the path against the row, check who owns what it names, and send it on."""
        row = self.resource
        segments = [ownership.check_id(segment) for segment in rest.split("/") if segment]
        action = row.actions.get(segments[0]) if segments else None
        root = segments[0] if segments and action is None else segments[1] if len(segments) > 1 else ""
        makes, id_field = self._made(request, segments, action)
        operation = Operation(f"{row.kind}.{(request.method or '').lower()}", "", row.path, makes=makes)
        call = begin_call(request, self.caller, operation)
        call.method = request.method or ""
        call.path = "/".join([row.path, *(quote(segment, safe="") for segment in segments)])
        call.id_field = id_field
        account = await self._account(call, root)
        check_open(account, row)
        if request.method == "GET" and not segments and account.isolation != "account":
            return await self._list(request, account)
        reply = await self.send(request, call, account, model=row.model)
        if request.method == "DELETE" and len(segments) == 1 and reply.status < 300:
            await objects.run(mark_deleted, root, account.name, datetime.now(UTC))
            objects.forget(root, account.name)
        return reply

    def _made(self, request: InferenceRequest, segments: list[str], action: tuple[str, str] | None) -> tuple[str, str]:
        """Return the kind that this request makes, and the answer's field with its id."""
        if request.method != "POST":
            return "", "id"
        if not segments:
            return self.resource.kind, "id"
        if action is not None and len(segments) == 1:
            return action
        return (self.resource.makes.get(segments[-1], ""), "id") if len(segments) == 2 else ("", "id")

    async def _account(self, call: Call, root: str) -> AccountPicture:
        name = call.options.provider_name
        if root:
            account, _ = await ownership.locate(self.caller, root, name)
            return account
        return access.account_of(self.caller, name or self.only_account())

    async def _list(self, request: InferenceRequest, account: AccountPicture) -> Reply:
        """Answer a list with the caller's own objects, each as it stands at the upstream now."""
        page = read_page(request.GET)
        rows, more = await list_owned(self.caller, account, self.resource.kind, page)
        gate = asyncio.Semaphore(LIST_CONCURRENCY)
        target = Target(account, access.no_model(account))

        async def fetch(object_id: str) -> Any:
            async with gate:
                return await read_object(target, f"{self.resource.path}/{quote(object_id, safe='')}")

        bodies = await asyncio.gather(*(fetch(row.object_id) for row in rows))
        return json_reply(list_body([body for body in bodies if body is not None], more))


class ProxyView(PassthroughView):
    """``/proxy/{path}``: the vendor's own path and body, on accounts that allow the path."""

    async def get(self, request: InferenceRequest, rest: str = "", **kwargs: Any) -> Reply:
        """Pass a GET on."""
        return await self.serve(request, rest)

    post = put = patch = delete = get

    async def serve(self, request: InferenceRequest, rest: str) -> Reply:
        """Check the path against the account's patterns and send the request on."""
        call = begin_call(request, self.caller, Operation("proxy", "", "proxy"))
        if not call.options.provider_name:
            raise errors.InvalidRequest(
                "Set the header x-tfy-provider-name to the provider account that this path is for.",
                param="x-tfy-provider-name",
                code="provider_account_required",
            )
        account = access.account_of(self.caller, call.options.provider_name)
        path = check_proxy_path(account, rest)
        call.method, call.path, call.endpoint = request.method or "", path, f"proxy/{path}"[:100]
        call.base_url = vendor_root(account.url)
        return await self.send(request, call, account, model=False)


def check_open(account: AccountPicture, row: Resource) -> None:
    """Raise :class:`~gateway.errors.Forbidden` unless the account opens the row's resource."""
    if row.switch not in account.open_resources and "*" not in account.open_resources:
        raise errors.Forbidden(
            f"{row.switch!r} is not open on the provider account {account.name!r}. A manager of the account opens it by adding "
            f"{row.switch!r} to its open resources (manifest: open_resources: [{row.switch}]).",
            code="resource_closed",
        )


def check_proxy_path(account: AccountPicture, path: str) -> str:
    """Return ``path`` when the account's patterns allow it; raise :class:`~gateway.errors.Forbidden` otherwise."""
    segments = path.split("/")
    if any(segment in ("", ".", "..") or "\\" in segment or "%" in segment for segment in segments):
        raise errors.InvalidRequest(f"{path[:200]!r} is not a plain path.", code="invalid_path")
    allowed = any(
        len(pattern.strip("/").split("/")) <= len(segments) and fnmatch.fnmatchcase(path, pattern.strip("/"))
        for pattern in account.proxy_paths
    )
    if not allowed:
        raise errors.Forbidden(
            f"The path {path[:200]!r} is not open on the provider account {account.name!r}. A manager of the account opens it "
            "by adding a pattern to its proxy paths (manifest: proxy_paths: [v1/rerank, v1/agents/*]).",
            code="proxy_path_closed",
        )
    return "/".join(quote(segment, safe="!$&'()*+,;=:@-._~") for segment in segments)


def vendor_root(url: str) -> str:
    """Return an account's address without its version: the vendor's own paths begin with it."""
    return url.removesuffix("/v1")


def check_nested_models(call: Call, account: AccountPicture) -> None:
    """Refuse models below the top level that the caller may not call: graders and data sources of evals name some."""
    for name, raw in call.fields.items():
        if b'"model"' in bytes(raw) or b"\\u00" in bytes(raw):
            for model in _models(_any.decode(raw)):
                target = access.resolve(call.caller, model, account.name)
                if target.model.upstream_id != model:
                    raise errors.InvalidRequest(
                        f"Inside {name!r} write the vendor's own model name, {target.model.upstream_id!r}.", param=name
                    )


def _models(value: Any) -> list[str]:
    found, pending = [], [value]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            if isinstance(node.get("model"), str):
                found.append(node["model"])
            pending.extend(node.values())
    return found


async def read_object(target: Target, path: str) -> Any:
    """Return an upstream object's body as it stands now, or ``None`` when it is gone."""
    account = target.account
    headers = openai_dialect.headers(account)
    request = UpstreamRequest("GET", openai_dialect.url(target, path), headers)
    answer = await runtime.client.send(account, request)
    try:
        body = await answer.read(settings.MAX_BODY_BYTES)
    finally:
        answer.close()
    if answer.status == 404:
        return None
    if answer.status >= 300:
        raise UpstreamFailure(f"The upstream answered {answer.status} for one of the listed objects.")
    return msgspec.json.decode(body) if body else None


def resource_urls() -> list[URLPattern]:
    """Return the URL pattern of every row of the table."""
    return [
        re_path(
            rf"^{row.path}(?:/(?P<rest>.+?))?/?$",
            ResourceView.as_view(resource=row),
            name=row.path.replace("/", "-"),
        )
        for row in RESOURCES
    ]
