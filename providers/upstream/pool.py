"""The connections of one provider account: how many may be busy, which are idle, and how new ones are made."""

import asyncio
import socket
import ssl
from collections import deque
from functools import partial

import aiohappyeyeballs

from providers import egress
from providers.snapshot import AccountSnapshot
from providers.upstream.bounds import check_account, check_origin
from providers.upstream.client import Connections
from providers.upstream.connection import CLOSED, Connection
from providers.upstream.failures import (
    ConnectFailed,
    ConnectionsBusy,
    ConnectTimedOut,
    Disconnected,
    EgressRefused,
)
from providers.upstream.guard import KEEP_ALIVE
from providers.upstream.head import Origin
from providers.upstream.resolver import AddressInfo, Resolver
from providers.upstream.tls import tls_context

HAPPY_EYEBALLS_SECONDS = 0.25
SWEEP_SECONDS = 10.0


class Pool:
    """An account's connections, as one revision of it wants them. Use it inside one event loop.

    A call takes one with :meth:`take` or, when none is idle, :meth:`open`; the connection itself gives it back.
    """

    def __init__(self, account: AccountSnapshot, resolver: Resolver) -> None:
        check_account(account)
        self.revision = account.revision
        self.read_timeout = account.read_timeout
        self._name = account.name
        self._bound_to = account.bound_to
        self._limit = account.connection_limit
        self._connect_timeout = account.connect_timeout
        self._resolver = resolver
        self._loop = asyncio.get_running_loop()
        self._busy = 0  # a connection that is made counts, too
        self._idle: dict[Origin, list[Connection]] = {}
        self._active: set[Connection] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._retired = False

    @property
    def busy(self) -> bool:
        """Whether a call uses one of the connections."""
        return self._busy > 0

    def count(self) -> Connections:
        """Return how many there are now. Any thread may call it."""
        return Connections(self._busy, sum(len(idle) for idle in list(self._idle.values())), len(self._waiting))

    def take(self, origin: Origin) -> Connection | None:
        """Return an idle connection, the one that was used last; ``None`` when there is none, or no call may begin
        now.
        """
        idle = self._idle.get(origin)
        if not idle or (self._limit and self._busy >= self._limit):
            return None
        self._busy += 1
        connection = self._take_idle(origin)
        if connection is None:
            self._busy -= 1
        return connection

    async def open(self, origin: Origin, deadline: float | None, *, fresh: bool = False) -> Connection:
        """Return a connection, idle by now or new, when the account may use one more. ``fresh`` wants a new one.

        All of it takes the account's connect timeout at most, and ends at ``deadline``. Raises ``UpstreamFailure``.
        """
        until = self._loop.time() + self._connect_timeout
        waits = True
        try:
            async with asyncio.timeout_at(until if deadline is None else min(until, deadline)):
                await self._permit()
                waits = False
                try:
                    return (None if fresh else self._take_idle(origin)) or await self._connect(origin)
                except BaseException:  # the request's boundary: whatever ends it, its permit goes back
                    self._give_permit()
                    raise
        except TimeoutError:
            if waits:
                raise self._all_busy() from None
            raise ConnectTimedOut("The upstream did not accept a connection in time.") from None

    def freed(self, connection: Connection, *, reusable: bool) -> None:
        """Take a connection back, idle if it may be used again; a call that waits for one goes on."""
        self._active.discard(connection)
        if reusable and self._retired:
            connection.abort()
        elif reusable:
            self._idle.setdefault(connection.origin, []).append(connection)
            if self._sweeper is None:
                self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        self._give_permit()

    def forget(self, connection: Connection) -> None:
        """Drop a connection that closed while it was idle."""
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)

    def retire(self) -> None:
        """Let no connection wait for calls any more: another revision of the account has a pool.

        Running calls go on.
        """
        self._retired = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.abort()

    def close(self) -> None:
        """Close every connection; calls that run or wait end with a failure."""
        self.retire()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(ConnectFailed("The upstream client is closed."))
        for connection in list(self._active):
            connection.abort()

    def _take_idle(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable(self._loop.time()):
                self._active.add(connection)
                return connection
            connection.abort()
        return None

    async def _permit(self) -> None:
        """Wait until one more connection may be busy, first come, first served; from then on it counts."""
        if not self._limit or (self._busy < self._limit and not self._waiting):
            self._busy += 1
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            await waiter  # what it waits for is handed over: it counts already
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give_permit()
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _give_permit(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._busy -= 1

    async def _connect(self, origin: Origin) -> Connection:
        scheme = "https" if origin.tls else "http"
        check_origin(self._bound_to, scheme, origin.host, origin.port)
        fault = egress.url_fault(f"{scheme}://{origin.authority}", self._resolver.allow)
        if fault:  # a call's address may be another than the account's
            raise EgressRefused(fault)
        try:
            addresses = await self._resolver.resolve(origin.host, origin.port)
            made = await aiohappyeyeballs.start_connection(
                addresses,
                happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS,
                loop=self._loop,
                socket_factory=_make_socket,
            )
            _, connection = await self._loop.create_connection(
                partial(Connection, self._loop, origin, self),
                sock=made,
                ssl=tls_context() if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
        except egress.EgressDenied as error:
            raise EgressRefused(str(error)) from None
        except socket.gaierror:
            raise ConnectFailed(f"The upstream's name {origin.host} was not found.") from None
        except ssl.SSLError as error:
            raise ConnectFailed(f"No safe connection to {origin.host}: its certificate or TLS was refused.") from error
        except TimeoutError:
            raise
        except (OSError, RuntimeError) as error:
            raise ConnectFailed(f"The upstream at {origin.host} refused the connection or can't be reached.") from error
        if connection.gone:
            failure = Disconnected(CLOSED)
            failure.sent = False
            raise failure
        self._active.add(connection)
        return connection

    def _all_busy(self) -> ConnectionsBusy:
        return ConnectionsBusy(
            f"All connections ({self._limit}) of the provider account {self._name!r} were busy for "
            f"{self._connect_timeout:g} s. Try again, or have a manager raise its connection limit."
        )

    def _sweep(self) -> None:
        """Close what was idle for too long."""
        self._sweeper = None
        now = self._loop.time()
        for origin, connections in list(self._idle.items()):
            kept = [connection for connection in connections if connection.usable(now)]
            for connection in connections:
                if connection not in kept:
                    connection.abort()
            if kept:
                self._idle[origin] = kept
            else:
                self._idle.pop(origin, None)
        if self._idle:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)


def _make_socket(info: AddressInfo) -> socket.socket:
    family, kind, protocol, _, _ = info
    made = socket.socket(family=family, type=kind, proto=protocol)
    for level, option, value in KEEP_ALIVE:
        made.setsockopt(level, option, value)
    return made
