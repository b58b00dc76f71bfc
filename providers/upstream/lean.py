"""The lean upstream client: HTTP/1.1 on asyncio protocols and llhttp, a pool of connections per account.

It does what a call needs and nothing else: no redirects, no cookies, no proxies, no HTTP/2. A small request is one
write, and its whole answer usually one read; nothing is created per call but the answer and a future to wait for it.
"""

import asyncio

from providers.snapshot import AccountSnapshot
from providers.upstream.answer import LeanAnswer
from providers.upstream.client import Connections, UpstreamRequest
from providers.upstream.failures import Disconnected
from providers.upstream.head import encode_head, split_url
from providers.upstream.pieces import LARGE_BYTES, Pieces
from providers.upstream.pool import Pool
from providers.upstream.resolver import Resolver
from providers.upstream.tokens import REFUSED, forget, sign

IDEMPOTENCY_KEY = "idempotency-key"
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class LeanClient:
    """Sends upstream requests; keeps a pool per account and revision. Make it inside the running event loop."""

    def __init__(self, resolver: Resolver | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._resolver = resolver or Resolver()
        self._pools: dict[str, Pool] = {}
        self._retired: list[Pool] = []

    async def send(self, account: AccountSnapshot, request: UpstreamRequest) -> LeanAnswer:
        """Send ``request`` and return its answer as soon as the head is there. Redirects are returned, never followed.

        A request that may be repeated (RFC 9110, 9.2.2) is sent once more when the upstream closed a kept connection in
        that moment: an idempotent one, or one whose client gave it an idempotency key. Raises a subclass of
        :class:`UpstreamFailure`; of any other such request its ``reused`` is true.
        """
        pool = self._pools.get(account.name)
        if pool is None or pool.revision != account.revision:
            pool = self._new_pool(account)
        if account.token is not None:
            await sign(self, account, request)
        method, body, total = request.method, request.body, request.total_timeout
        if isinstance(body, bytes) and len(body) > LARGE_BYTES:
            body = Pieces((body,))
        origin, target = split_url(request.url)
        head, length = encode_head(method, target, origin.authority, request.headers.items(), body, request.traceparent)
        deadline = None if total is None else self._loop.time() + total
        connection = pool.take(origin)
        if connection is None:
            connection = await pool.open(origin, deadline)
        again = body is None or isinstance(body, (bytes, Pieces))
        again = again and (method in IDEMPOTENT or IDEMPOTENCY_KEY in request.headers)
        request.sent = True
        while True:
            answer = connection.send(method, head, body, length, pool.read_timeout, deadline)
            try:
                await answer.head()
            except Disconnected as failure:
                if not (again and failure.reused):
                    raise
            except BaseException:  # the request's boundary: whatever ends it, also a cancel, its connection closes
                answer.close()
                raise
            else:
                if answer.status == REFUSED and account.token is not None:
                    forget(account.token, request)
                return answer
            again = False
            connection = await pool.open(origin, deadline, fresh=True)

    def connections(self) -> dict[str, Connections]:
        """Return the connections by the account's name; those of a changed account's old revision are left out."""
        return {name: pool.count() for name, pool in list(self._pools.items())}

    async def close(self) -> None:
        """Close every connection."""
        for pool in (*self._pools.values(), *self._retired):
            pool.close()
        self._pools.clear()
        self._retired.clear()
        self._resolver.close()
        await asyncio.sleep(0)  # the connections' sockets close in the loop's next turn

    def _new_pool(self, account: AccountSnapshot) -> Pool:
        """Return a pool for a new account, or a changed one, whose old pool ends with its last call."""
        pool = Pool(account, self._resolver)
        old = self._pools.get(account.name)
        self._pools[account.name] = pool
        if old is not None:
            old.retire()
            self._retired = [*(retired for retired in self._retired if retired.busy), old]
        return pool
