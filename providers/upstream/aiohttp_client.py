"""The upstream client on aiohttp: for sockets, and for calls where ``GATEHOUSE_UPSTREAM_CLIENT`` asks for it.

One aiohttp session per account keeps its connections apart, with the account's own limits. Failures are classified:
each error says whether the request can have reached the vendor (``sent``), which decides whether another attempt may
cost twice.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Callable

import aiohttp
from yarl import URL

from providers.snapshot import AccountSnapshot
from providers.upstream.bounds import check_account, check_origin
from providers.upstream.client import Connections, Count, UpstreamRequest, no_count
from providers.upstream.decoding import check_ratio
from providers.upstream.failures import BrokenAnswer, ConnectionsBusy, classify
from providers.upstream.guard import Guard
from providers.upstream.head import split_url
from providers.upstream.headers import Headers
from providers.upstream.pieces import Pieces
from providers.upstream.tls import tls_context
from providers.upstream.tokens import REFUSED, forget, sign

KEEPALIVE_SECONDS = 30.0
DNS_CACHE_SECONDS = 30
READ_BUFFER_BYTES = 2**18


class AiohttpAnswer:
    """An answer whose head has arrived. Read it with :meth:`read` or :meth:`chunks`, and always :meth:`close` it."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = Headers([(name.lower(), value) for name, value in response.raw_headers])

    async def read(self, limit: int, count: Count = no_count) -> bytes:
        """Return the whole body; raise :class:`BrokenAnswer` when it is larger than ``limit`` bytes.

        ``count`` is given the number of bytes that came since the last time, while there are more to come.
        """
        response = self._response
        if (response.content_length or 0) > limit:
            raise BrokenAnswer(f"The upstream's answer is larger than {limit} bytes.")
        try:
            if response.content_length is not None and "content-encoding" not in response.headers:
                count(response.content_length)
                return await response.read()
            held, size = io.BytesIO(), 0
            async for part in response.content.iter_any():
                size += held.write(part)
                if size > limit:
                    raise BrokenAnswer(f"The upstream's answer is larger than {limit} bytes.")
                count(len(part))
                check_ratio(response.content.total_raw_bytes, size)
            return held.getvalue()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise classify(error) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. A slow reader slows the upstream: at most one read buffer is held."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise classify(error) from error

    async def next_chunk(self) -> bytes:
        """Return the next bytes of the body, empty at its end; :meth:`chunks` goes on after them."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise classify(error) from error

    def take_with(self, taker: Callable[[bytes], bool]) -> None:
        """Leave all to :meth:`next_chunk`."""

    def close(self) -> None:
        """Give the connection back when the body was read to its end, else close it at once."""
        self._response.close() if not self._response.content.at_eof() else self._response.release()


class AiohttpClient:
    """Sends upstream requests; keeps a session per account and revision. Make it inside the running event loop."""

    def __init__(self) -> None:
        self._sessions: dict[str, tuple[str, aiohttp.ClientSession]] = {}
        self._retired: set[asyncio.Task[None]] = set()
        self._timeouts: dict[tuple[float, float, float | None], aiohttp.ClientTimeout] = {}

    async def send(self, account: AccountSnapshot, request: UpstreamRequest) -> AiohttpAnswer:
        """Send ``request`` and return its answer as soon as the head is there. Redirects are returned, never followed.

        Raises a subclass of :class:`UpstreamFailure`.
        """
        session = self.session(account)
        check_url(account, request.url)
        if account.token is not None:
            await sign(self, account, request)
        if request.traceparent:
            request.headers["traceparent"] = request.traceparent
        body: object = request.body
        if isinstance(body, Pieces):
            request.headers["content-length"] = str(len(body))
            body = aiter(body)
        request.sent = True  # it does not say when it is connected
        try:
            response = await session.request(
                request.method,
                URL(request.url, encoded=True),  # as it is: a client's escapes are its own
                headers=request.headers,
                data=body,
                timeout=self._timeout(account, request.total_timeout),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error, aiohttp.ConnectionTimeoutError) and _all_busy(session):
                raise _busy(account) from error
            raise classify(error) from error
        if response.status == REFUSED and account.token is not None:
            forget(account.token, request)
        return AiohttpAnswer(response)

    def session(self, account: AccountSnapshot) -> aiohttp.ClientSession:
        """Return the account's session; a changed account gets a new one, the old one closes when its calls are
        done.
        """
        return self._session(account.name, account, account.connection_limit)

    def socket_session(self, account: AccountSnapshot) -> aiohttp.ClientSession:
        """Return the session for the account's sockets: they stay open for long, and calls must not wait for them."""
        return self._session(f"{account.name} sockets", account, None)

    def _session(self, key: str, account: AccountSnapshot, limit: int | None) -> aiohttp.ClientSession:
        known = self._sessions.get(key)
        if known is not None and known[0] == account.revision:
            return known[1]
        check_account(account)
        session = _new_session(limit)
        self._sessions[key] = (account.revision, session)
        if known is not None:
            self._retire(known[1])
        return session

    def connections(self) -> dict[str, Connections]:
        """Return the connections by the account's name; those of sockets under its name and ``sockets``."""
        return {name: _count(session) for name, (_, session) in list(self._sessions.items())}

    async def close(self) -> None:
        """Close every session and its connections."""
        sessions, self._sessions = [session for _, session in self._sessions.values()], {}
        for task in self._retired:
            task.cancel()
        await asyncio.gather(*(session.close() for session in sessions), *self._retired, return_exceptions=True)

    def _retire(self, session: aiohttp.ClientSession) -> None:
        task = asyncio.get_running_loop().create_task(_close_when_idle(session))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    def _timeout(self, account: AccountSnapshot, total: float | None) -> aiohttp.ClientTimeout:
        key = (account.connect_timeout, account.read_timeout, total)
        timeout = self._timeouts.get(key)
        if timeout is None:
            if len(self._timeouts) > 1024:  # callers choose `total`: keep what they can make us remember small
                self._timeouts.clear()
            timeout = self._timeouts[key] = aiohttp.ClientTimeout(
                total=total,
                connect=account.connect_timeout,  # also bounds the wait for one of the account's connections
                sock_connect=account.connect_timeout,
                sock_read=account.read_timeout,
            )
        return timeout


def check_url(account: AccountSnapshot, url: str) -> None:
    """Raise ``SecretsMisbound`` when ``url`` leads elsewhere than the account's secrets may go."""
    to = split_url(url)[0]
    check_origin(account.bound_to, "https" if to.tls else "http", to.host, to.port)


def _count(session: aiohttp.ClientSession) -> Connections:
    connector = session.connector  # aiohttp says none of this openly
    idle = sum(len(each) for each in list(getattr(connector, "_conns", {}).values()))
    waiting = sum(len(each) for each in list(getattr(connector, "_waiters", {}).values()))
    return Connections(len(getattr(connector, "_acquired", ())), idle, waiting)


def _all_busy(session: aiohttp.ClientSession) -> bool:
    connector = session.connector
    return connector is not None and 0 < connector.limit <= len(getattr(connector, "_acquired", ()))


def _busy(account: AccountSnapshot) -> ConnectionsBusy:
    return ConnectionsBusy(
        f"All connections ({account.connection_limit}) of the provider account {account.name!r} were busy for "
        f"{account.connect_timeout:g} s. Try again, or have a manager raise its connection limit."
    )


async def _close_when_idle(session: aiohttp.ClientSession) -> None:
    connector = session.connector
    try:
        while connector is not None and getattr(connector, "_acquired", None):
            await asyncio.sleep(0.5)
    finally:
        await session.close()


async def _refuse_redirect(*_: object) -> None:
    raise BrokenAnswer("The upstream answered with a redirect. Check the account's base URL.")


def _new_session(limit: int | None) -> aiohttp.ClientSession:
    """Return a session for calls, or one for sockets, which knows no ``limit``."""
    traces = []
    if limit is None:  # aiohttp always follows redirects of handshakes: a key would go elsewhere
        traces.append(aiohttp.TraceConfig())
        traces[0].on_request_redirect.append(_refuse_redirect)
    guard = Guard()
    connector = aiohttp.TCPConnector(
        limit=limit or 0,
        ssl=tls_context(),
        resolver=guard,
        ttl_dns_cache=DNS_CACHE_SECONDS,
        keepalive_timeout=KEEPALIVE_SECONDS,
        socket_factory=guard.socket,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
        read_bufsize=READ_BUFFER_BYTES,
        skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
        trust_env=False,
        trace_configs=traces,
    )
