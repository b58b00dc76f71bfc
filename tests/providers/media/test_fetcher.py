"""Media by URL: what is fetched, what is refused, and what stays bounded."""

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator

import pytest

from providers.dialects.neutral import Media
from providers.media.cache import MediaCache
from providers.media.fetcher import FetchFailed, Limits, MediaFetcher
from tests.support.dialect_cases import PNG
from tests.support.raw_upstream import Peer, Script, answering, serving

LOCAL = ("127.0.0.1",)
IMAGE = base64.b64decode(PNG)


def file(body: bytes, kind: str = "image/png", status: str = "200 OK", more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}connection: close\r\n\r\n"
    )
    return head.encode() + body


def to(location: str) -> bytes:
    return file(b"", status="302 Found", more=f"location: {location}\r\n")


@pytest.fixture
async def fetcher(request: pytest.FixtureRequest) -> AsyncIterator[MediaFetcher]:
    made = MediaFetcher(getattr(request, "param", Limits(allow=LOCAL, seconds=2)))
    yield made
    await made.close()


async def failure(fetcher: MediaFetcher, url: str) -> str:
    with pytest.raises(FetchFailed) as failed:
        await fetcher.fetch(url)
    assert failed.value.url == url
    return str(failed.value)


async def test_a_file_comes_inline_with_the_type_that_its_bytes_show(fetcher: MediaFetcher) -> None:
    async with serving(answering(file(IMAGE, "text/plain"))) as server:
        media = await fetcher.fetch(f"{server.origin}/a%20b é.png?x=1&y=%2F%7e#part")
    assert media == Media("image", data=PNG, mime="image/png")
    [(line, headers, _)] = server.requests
    assert line == "GET /a%20b%20%C3%A9.png?x=1&y=%2F%7e HTTP/1.1"  # signed URLs stay as they are
    assert headers.keys() == {"host", "accept", "accept-encoding", "user-agent"}  # no key, no cookie


@pytest.mark.parametrize(
    ("said", "mime"), [("video/mp4", "video/mp4"), ("audio/x-wav", "audio/wav"), ("application/x-sh", "")]
)
async def test_a_servers_word_is_the_last_resort(fetcher: MediaFetcher, said: str, mime: str) -> None:
    async with serving(answering(file(b"unknown bytes", said))) as server:
        assert (await fetcher.fetch(server.origin)).mime == mime


async def test_redirects_are_followed_and_counted(fetcher: MediaFetcher) -> None:
    async def script(peer: Peer) -> None:
        line, _, _ = await peer.request()
        left = int(line.split()[1].strip("/"))
        await peer.send(file(IMAGE) if left == 0 else to(f"/{left - 1}"))

    async with serving(script) as server:
        assert (await fetcher.fetch(f"{server.origin}/5")).mime == "image/png"
        assert "more than 5 times" in await failure(fetcher, f"{server.origin}/6")


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "https://localhost/",
        "http://[::1]/",
        "file:///etc/passwd",
        "https://user:secret@example.com/",
        "//metadata.google.internal/",
    ],
)
async def test_a_redirect_is_checked_like_the_first_address(fetcher: MediaFetcher, target: str) -> None:
    async with serving(answering(to(target))) as server:
        said = await failure(fetcher, server.origin)
    assert "Only public" in said or "begins with https" in said or "user name" in said


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.png",
        "https://10.0.0.1/a.png",
        "https://127.0.0.1/a.png",
        "https://0x7f.1/a.png",
        "https://[fd00:ec2::254]/",
        "https://localhost:8000/a.png",
        "ftp://example.com/a.png",
        "https:///a.png",
        "https://exa mple.com/",
        "https://ex\u00e4mple.local\u2100/",
        "https://example.com:99999/",
        "https://user@example.com/a.png",
        f"https://example.com/{'a' * 9000}",
        "",
    ],
)
async def test_what_may_not_be_fetched(url: str) -> None:
    fetcher = MediaFetcher(Limits())
    said = await failure(fetcher, url)
    assert "GATEHOUSE" not in said  # it is a caller who reads this
    await fetcher.close()


async def test_what_accounts_may_reach_callers_may_not(settings) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8", "inner.example"]
    fetcher = MediaFetcher(Limits(seconds=2))
    async with serving(answering(file(IMAGE))) as server:
        assert await failure(fetcher, server.origin) == "Only public https addresses are fetched."
        port = server.origin.rpartition(":")[2]
        # A name that leads there is refused when it is resolved, without a word about where it led.
        said = await failure(fetcher, f"https://localhost.localdomain.:{port}/")
    assert "127" not in said
    assert server.connections == 0
    await fetcher.close()


async def test_a_name_that_resolves_to_a_private_address(fetcher: MediaFetcher, monkeypatch) -> None:
    monkeypatch.setattr("providers.upstream.resolver._resolve", lambda host, port: [(2, 1, 6, "", ("10.1.2.3", port))])
    assert await failure(fetcher, "https://rebound.example/a.png") == "Only public https addresses are fetched."


SMALL = Limits(allow=LOCAL, file_bytes=1000, seconds=2)


@pytest.mark.parametrize("fetcher", [SMALL], indirect=True)
@pytest.mark.parametrize(
    "pieces",
    [
        (file(b"x" * 1001),),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", *[b"190\r\n" + b"x" * 400 + b"\r\n"] * 9),
        (b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 400] * 9),
    ],
)
async def test_a_large_file_is_given_up_early(fetcher: MediaFetcher, pieces: tuple[bytes, ...]) -> None:
    async with serving(answering(*pieces)) as server:
        assert "larger than 1000 bytes" in await failure(fetcher, server.origin)


@pytest.mark.parametrize("fetcher", [Limits(allow=LOCAL, file_bytes=1000, seconds=2)], indirect=True)
async def test_a_packed_file_is_measured_unpacked(fetcher: MediaFetcher) -> None:
    packed = gzip.compress(b"\x89PNG\r\n\x1a\n" + b"0" * 500_000)
    async with serving(answering(file(packed, more="content-encoding: gzip\r\n"))) as server:
        assert "larger than 1000 bytes" in await failure(fetcher, server.origin)


@pytest.mark.parametrize("fetcher", [Limits(allow=LOCAL, seconds=0.3)], indirect=True)
async def test_a_slow_file_is_given_up(fetcher: MediaFetcher) -> None:
    async with serving(answering(file(b"x" * 100)[:-50], *[b"x"] * 50, pause=0.1)) as server:
        assert "within 0.3 seconds" in await failure(fetcher, server.origin)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (file(b"no", status="404 Not Found"), "answered 404"),
        (file(b""), "is empty"),
        (file(b"\n<!DOCTYPE html><html>"), "a web page"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", "closed the connection"),
        (b"nonsense\r\n\r\n", "not valid HTTP"),
    ],
)
async def test_answers_that_are_no_file(fetcher: MediaFetcher, answer: bytes, said: str) -> None:
    async with serving(answering(answer)) as server:
        assert said in await failure(fetcher, server.origin)


async def test_what_was_fetched_is_held(fetcher: MediaFetcher) -> None:
    async with serving(answering(file(IMAGE))) as server:
        first = await fetcher.fetch_all([server.origin, f"{server.origin}/b", server.origin])
        again = await fetcher.fetch_all([server.origin])
    assert server.connections == 2
    assert first[server.origin] == again[server.origin]
    assert len(first) == 2


def waiting(open_now: list[int], most: list[int]) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        open_now[0] += 1
        most[0] = max(most[0], open_now[0])
        await asyncio.sleep(0.05)
        open_now[0] -= 1
        await peer.send(file(IMAGE))

    return script


@pytest.mark.parametrize("fetcher", [Limits(allow=LOCAL, at_once=2, seconds=5)], indirect=True)
async def test_fetches_at_once_are_limited(fetcher: MediaFetcher) -> None:
    most = [0]
    async with serving(waiting([0], most)) as server:
        await fetcher.fetch_all(f"{server.origin}/{number}" for number in range(6))
    assert most == [2]


@pytest.mark.parametrize("fetcher", [Limits(allow=LOCAL, files=2, call_bytes=100, seconds=2)], indirect=True)
async def test_a_call_is_bounded(fetcher: MediaFetcher) -> None:
    async with serving(answering(file(IMAGE))) as server:
        urls = [f"{server.origin}/{number}" for number in range(3)]
        with pytest.raises(FetchFailed, match="at most 2 files"):
            await fetcher.fetch_all(urls)
        with pytest.raises(FetchFailed, match="100 bytes in all"):
            await fetcher.fetch_all(urls[:2])


@pytest.mark.parametrize("fetcher", [Limits(allow=LOCAL, at_once=1, call_bytes=100, seconds=2)], indirect=True)
async def test_nothing_more_is_fetched_once_a_calls_files_are_too_large(fetcher: MediaFetcher) -> None:
    async with serving(answering(file(IMAGE))) as server:
        with pytest.raises(FetchFailed, match="100 bytes in all"):
            await fetcher.fetch_all(f"{server.origin}/{number}" for number in range(9))
        assert server.connections <= 3  # the third may have begun


async def test_one_failure_ends_the_others(fetcher: MediaFetcher) -> None:
    async def script(peer: Peer) -> None:
        line, _, _ = await peer.request()
        if "/slow" in line:
            await peer.closed()
            peer.server.left_at = 1.0
            return
        await peer.send(file(b"no", status="404 Not Found"))

    async with serving(script) as server:
        with pytest.raises(FetchFailed, match="answered 404"):
            await fetcher.fetch_all([f"{server.origin}/slow", f"{server.origin}/gone"])
        await asyncio.sleep(0.1)
        assert server.left_at


def test_the_cache_is_bounded_in_size_and_time() -> None:
    now = [0.0]
    cache = MediaCache(100, 10, clock=lambda: now[0])
    cache.put("large", Media("image", data="x" * 101))
    cache.put("a", Media("image", data="x" * 60))
    cache.put("a", Media("image", data="y" * 60))
    cache.put("b", Media("image", data="x" * 40))
    assert cache.get("large") is None
    assert cache.get("a") is not None
    cache.put("c", Media("image", data="x" * 40))
    assert [cache.get(url) is not None for url in ("a", "b", "c")] == [True, False, True]
    now[0] = 10
    assert cache.get("a") is None
    cache.put("d", Media("image", data="x" * 60))
    assert cache.get("c") is None
