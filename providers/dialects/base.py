"""What a dialect is: how an upstream's requests are written, and where its answers say errors and output.

A dialect is pure: bytes and fields in, bytes and fields out. ``providers.dialects.DIALECTS`` has one of each.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec
from multidict import CIMultiDict

from providers import azure
from providers.snapshot import AccountSnapshot, Target
from providers.upstream.client import UpstreamRequest

Fields = Mapping[str, msgspec.Raw]


class AskedBody(Protocol):
    """The body of a call, as ``gateway.call.body.Body`` has it."""

    raw: bytes
    fields: dict[str, msgspec.Raw]
    content_type: str


class AskedOptions(Protocol):
    """Of the options of a call: whether what a model does not take is refused instead of dropped."""

    strict: bool


class Asked(Protocol):
    """What a dialect reads of a call."""

    method: str
    path: str
    query: str
    base_url: str
    model_asked: str
    stream: bool
    asks_usage: bool
    forwarded: list[tuple[str, str]]

    @property
    def options(self) -> AskedOptions:
        """What the caller's headers ask for."""

    @property
    def body(self) -> AskedBody:
        """What goes up."""


def address(target: Target, path: str, query: str = "", base_url: str = "") -> str:
    """Return the upstream address of a path below the account's own, or below ``base_url``."""
    account = target.account
    if account.api_version and not base_url:
        if account.vendor.api_version:
            path, query = azure.placed(path, query, target.model.upstream_id)
        named = azure.version_query(account.api_version)
        query = azure.without_version(query)
        query = f"{query}&{named}" if query else named
    base = f"{base_url or account.url}/{path}"
    return f"{base}{'&' if '?' in path else '?'}{query}" if query else base


def upstream_headers(account: AccountSnapshot, forwarded: Iterable[tuple[str, str]] = ()) -> CIMultiDict[str]:
    """Return the upstream headers: what is forwarded from the client, and over it what the account sets."""
    made: CIMultiDict[str] = CIMultiDict(forwarded)
    made["accept-encoding"] = "identity"
    for name, value in account.headers:
        made[name] = value
    return made


def passing_body(asked: Asked, headers: CIMultiDict[str]) -> bytes | None:
    """Return the client's body as it came, and set its content type."""
    body = asked.body.raw or None
    if body is not None and asked.body.content_type:
        headers["content-type"] = asked.body.content_type
    return body


@dataclass(frozen=True, slots=True)
class ReportedError:
    """An error inside an answer or an event of status 200: the status that it should have had, and its
    words.
    """

    status: int
    message: str
    code: str = ""


class Dialect(Protocol):
    """An upstream's wire format."""

    name: str

    def url(self, target: Target, path: str, query: str = "", base_url: str = "") -> str:
        """Return the upstream address of an operation's path."""

    def headers(self, account: AccountSnapshot, forwarded: Iterable[tuple[str, str]] = ()) -> CIMultiDict[str]:
        """Return the upstream headers: what is forwarded from the client, and over it what the account sets."""

    def request(self, asked: Asked, target: Target) -> UpstreamRequest:
        """Return the request that asks ``target`` for what the call asks for.

        An upload's body is set by the pipeline.
        """

    def error(self, fields: Fields, event: bytes = b"") -> ReportedError | None:
        """Return the error that an answer, or an event of the name ``event``, reports; ``None`` for any other."""

    def error_body(self, account: AccountSnapshot, status: int, body: bytes) -> bytes:
        """Return the body of an error that passes as callers of the dialect know it; as a rule as it came."""

    def is_output(self, fields: Fields) -> bool:
        """Whether an event has the first content, reasoning, tool call or audio of an answer."""

    def choices_ended(self, fields: Fields) -> Mapping[int, bool]:
        """Return the choices that an event shows, by index, each with whether it has come to its finish reason."""
