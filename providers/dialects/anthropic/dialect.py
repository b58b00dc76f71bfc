"""Anthropic's dialect on the wire: addresses and headers, and what the pipeline looks for in answers that pass
through.
"""

from collections.abc import Iterable, Mapping

from multidict import CIMultiDict

from providers.dialects.anthropic import vertex
from providers.dialects.anthropic.errors import from_fields, write_error
from providers.dialects.base import Asked, Fields, ReportedError, address, passing_body, upstream_headers
from providers.dialects.failures import unwrapped
from providers.dialects.reported import reported
from providers.dialects.wire import encode_fields, lenient, lenient_fields
from providers.snapshot import AccountSnapshot, Target
from providers.upstream.client import UpstreamRequest
from providers.upstream.pieces import Pieces

BETA = "anthropic-beta"
VERSION = "anthropic-version"
_ERROR = b'"error"'
_TEXTS = ("text", "thinking")
# Fields of an event that hold what a block says, or begins with.
_SAID = {b'"content_block_delta"': "delta", b'"content_block_start"': "content_block"}


class Anthropic:
    """The dialect of Anthropic's Messages API."""

    name = "anthropic"

    def url(self, target: Target, path: str, query: str = "", base_url: str = "") -> str:
        """Return the upstream address of an operation's path."""
        return address(target, path, query, base_url)

    def headers(self, account: AccountSnapshot, forwarded: Iterable[tuple[str, str]] = ()) -> CIMultiDict[str]:
        """Return the upstream headers.

        The caller's version wins over the account's, and betas of both are asked for.
        """
        given = CIMultiDict(forwarded)
        made = upstream_headers(account, given.items())
        betas = [*given.getall(BETA, ()), *(value for name, value in account.headers if name == BETA)]
        if betas:
            names = (name.strip() for value in betas for name in value.split(","))
            made[BETA] = ",".join(dict.fromkeys(name for name in names if name))
        if VERSION in given:
            made[VERSION] = given[VERSION]
        return made

    def request(self, asked: Asked, target: Target) -> UpstreamRequest:
        """Return the request: the client's fields as they came, but for ``model`` and where Vertex AI has it."""
        headers = self.headers(target.account, asked.forwarded)
        if target.account.vendor.vertex and asked.path in (vertex.MESSAGES, vertex.COUNT):
            return self._vertex_request(asked, target, headers)
        if asked.model_asked:
            headers["content-type"] = "application/json"
            fields = {**asked.body.fields, "model": target.model.upstream_id}
            body: bytes | Pieces | None = encode_fields(fields, len(asked.body.raw))
        else:
            body = passing_body(asked, headers)
        return UpstreamRequest(asked.method, self.url(target, asked.path, asked.query, asked.base_url), headers, body)

    def _vertex_request(self, asked: Asked, target: Target, headers: CIMultiDict[str]) -> UpstreamRequest:
        """Return the request for Vertex AI, which takes no query of Anthropic's, and no header with a version."""
        model = target.model.upstream_id
        body = vertex.body_fields(asked.body.fields, asked.path, model, headers.pop(VERSION, ""))
        headers["content-type"] = "application/json"
        url = self.url(target, vertex.placed(asked.path, model, stream=asked.stream), "", asked.base_url)
        return UpstreamRequest(asked.method, url, headers, encode_fields(body, len(asked.body.raw)))

    def error_body(self, account: AccountSnapshot, status: int, body: bytes) -> bytes:
        """Return an error's body in Anthropic's form: Google's own comes from Vertex AI, too."""
        fields = unwrapped(lenient(body)) if account.vendor.vertex else None
        if not account.vendor.vertex or (isinstance(fields, dict) and fields.get("type") == "error"):
            return body
        return write_error(from_fields(status, fields, body))

    def error(self, fields: Fields, event: bytes = b"") -> ReportedError | None:
        """Return the error that an answer or an event reports."""
        if bytes(fields.get("type", b"")) != _ERROR:
            return reported(fields, event)
        failure = from_fields(200, lenient_fields(fields))
        return ReportedError(failure.status, failure.message, failure.type)

    def is_output(self, fields: Fields) -> bool:
        """Whether an event has the first of a block's content. The start of a text or of thinking is empty; that of any
        other block, like a tool's call, says something.
        """
        kind = bytes(fields.get("type", b""))
        if kind not in _SAID:
            return kind == b'"message"'
        said = lenient_fields(fields).get(_SAID[kind])
        if not isinstance(said, dict):
            return False
        if said.get("type") in _TEXTS:
            return any(said.get(name) for name in _TEXTS)
        return any(value for name, value in said.items() if name != "type")

    def choices_ended(self, fields: Fields) -> Mapping[int, bool]:
        """Return nothing: the type of the last event says that a message is whole."""
        return {}
