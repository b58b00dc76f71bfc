"""Fetches media by public URL: bounded in size, time, redirects and number, with the type that its bytes show."""

import asyncio
import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from multidict import CIMultiDict
from yarl import URL

from accounts.numbers import whole_number
from accounts.words import counted
from providers.dialects import media as medias
from providers.dialects.neutral import Media
from providers.media.addresses import NOT_PUBLIC, MediaFault, checked, redirected
from providers.media.cache import MediaCache
from providers.snapshot import AccountSnapshot
from providers.upstream.client import UpstreamAnswer, UpstreamRequest
from providers.upstream.failures import EgressRefused, UpstreamFailure
from providers.upstream.lean import LeanClient
from providers.upstream.resolver import Resolver
from providers.vendors import VENDORS

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
CONNECT_SECONDS = 5.0
SILENT_SECONDS = 10.0
CACHE_SECONDS = 300.0
ENCODE_ASIDE = 2**20  # bytes from which base64 is made in a thread, lest other calls wait for it
_HTML = re.compile(rb"\s*(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)
# What a server's word is believed for, where neither the bytes nor the caller say what it is.
_BELIEVED = ("image/", "audio/", "video/", "text/", "application/pdf", "application/json")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds: bytes of one file and of a call's files together, ``seconds`` for one with its redirects, fetches at
    once, files of a call, and bytes of the cache (0: nothing is held). ``allow`` lists hosts and networks that may be
    private or plain http.
    """

    file_bytes: int = 20 * 2**20
    call_bytes: int = 64 * 2**20
    seconds: float = 20.0
    at_once: int = 8
    files: int = 64
    cache_bytes: int = 64 * 2**20
    allow: tuple[str, ...] = ()


class MediaFetcher:
    """Fetches what calls name by URL, over connections of its own. Make it inside the running event loop."""

    def __init__(self, limits: Limits) -> None:
        self._client = LeanClient(Resolver(limits.allow))
        self._limits = limits
        self._account = _no_account(limits)
        self._slots = asyncio.Semaphore(limits.at_once)
        self._cache = MediaCache(limits.cache_bytes, CACHE_SECONDS)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def fetch_all(self, urls: Iterable[str]) -> dict[str, Media]:
        """Return what the URLs name, by URL. Raises the first :class:`FetchFailed`; the other fetches end then."""
        wanted = list(dict.fromkeys(urls))
        if len(wanted) > self._limits.files:
            message = f"A call may name at most {counted(self._limits.files, 'file')} by URL; it names {len(wanted)}."
            raise FetchFailed(wanted[-1], message)
        left = self._limits.call_bytes

        async def fetched(url: str) -> Media:
            nonlocal left
            media = await self.fetch(url)
            left -= len(media.data) * 3 // 4
            if left < 0:
                raise FetchFailed(url, f"The files of a call may have {self._limits.call_bytes} bytes in all.")
            return media

        try:
            async with asyncio.TaskGroup() as group:
                tasks = {url: group.create_task(fetched(url)) for url in wanted}
        except BaseExceptionGroup as failed:
            raise _first(failed) from None
        return {url: task.result() for url, task in tasks.items()}

    async def fetch(self, url: str) -> Media:
        """Return the media at a URL, inline. Raises :class:`FetchFailed`."""
        held = self._cache.get(url)
        if held is not None:
            return held
        try:
            async with self._slots, asyncio.timeout(self._limits.seconds):
                held = self._cache.get(url)  # another call may have fetched it meanwhile
                if held is not None:
                    return held
                media = await self._fetched(checked(url, self._limits.allow))
        except EgressRefused:
            raise FetchFailed(url, NOT_PUBLIC) from None
        except (MediaFault, UpstreamFailure) as failure:
            raise FetchFailed(url, str(failure).replace("upstream", "server")) from None
        except TimeoutError:
            raise FetchFailed(url, f"It did not arrive within {self._limits.seconds:g} seconds.") from None
        self._cache.put(url, media)
        return media

    async def _fetched(self, url: URL) -> Media:
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._client.send(self._account, _request(url))
            try:
                if answer.status in REDIRECTS and "location" in answer.headers:
                    url = redirected(url, answer.headers["location"], self._limits.allow)
                    continue
                if answer.status != 200:
                    raise MediaFault(f"{url.host} answered {answer.status}.")
                return await _media(url, await self._read(url, answer), answer.headers.get("content-type", ""))
            finally:
                answer.close()
        raise MediaFault(f"{url.host} redirects more than {MOST_REDIRECTS} times.")

    async def _read(self, url: URL, answer: UpstreamAnswer) -> bytes:
        most = self._limits.file_bytes
        pieces, size = [], whole_number(answer.headers.get("content-length", "")) or 0
        if size <= most:
            size = 0
            async for piece in answer.chunks():
                pieces.append(piece)
                size += len(piece)
                if size > most:
                    break
        if size > most:
            raise MediaFault(f"The file at {url.host} is larger than {most} bytes.")
        if not size:
            raise MediaFault(f"The file at {url.host} is empty.")
        return b"".join(pieces)


class FetchFailed(MediaFault):
    """The media at ``url`` can't be had; the message says why."""

    def __init__(self, url: str, message: str) -> None:
        super().__init__(message)
        self.url = url


def _request(url: URL) -> UpstreamRequest:
    headers = CIMultiDict({"accept": "*/*", "accept-encoding": "identity", "user-agent": "gatehouse"})
    return UpstreamRequest("GET", str(url), headers)


async def _media(url: URL, body: bytes, said: str) -> Media:
    """Return the file inline. What its bytes show wins; a server's word is the last resort, except for a web page."""
    mime = medias.sniff(body[:64])
    if not mime and _HTML.match(body[:256]):
        raise MediaFault(f"{url.host} answered with a web page, not with a file.")
    if not mime:
        believed = medias.normal(said)
        mime = believed if believed.startswith(_BELIEVED) and believed != "text/html" else ""
    encode = base64.b64encode
    data = await asyncio.to_thread(encode, body) if len(body) > ENCODE_ASIDE else encode(body)
    return Media(medias.kind_of(mime), data=data.decode("ascii"), mime=mime)


def _first(failed: BaseExceptionGroup) -> BaseException:
    """Return the failure that a group of fetches ended with: one of a URL before anything else."""
    leaf: BaseException = failed
    while isinstance(leaf, BaseExceptionGroup):
        leaf = next((each for each in leaf.exceptions if isinstance(each, FetchFailed)), leaf.exceptions[0])
    return leaf


def _no_account(limits: Limits) -> AccountSnapshot:
    """Return what the client keeps media's connections by: no vendor's account, no headers, no key."""
    return AccountSnapshot(
        id=0,
        name="(media)",
        vendor=VENDORS["self-hosted-model"],
        url="https://media.invalid",
        headers=(),
        users=frozenset(),
        managers=frozenset(),
        enabled=True,
        any_model=False,
        isolation="owner",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=SILENT_SECONDS,
        finish_seconds=0.0,
        connection_limit=limits.at_once,
        discount_bp=0,
        open_resources=frozenset(),
        proxy_paths=(),
        revision="media",
        models={},
        upstream_ids={},
        own_secrets=(),
    )
