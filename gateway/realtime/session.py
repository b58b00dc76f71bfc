"""A session: two pumps between the client's socket and the upstream's, and everything that can end it.

Each pump holds one message: it takes the next one when the other side has taken the last. So a slow side slows the
other, and no more is buffered than the two connections' own windows.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from django.conf import settings

from accounts.caller import Caller
from gateway.call import errors
from gateway.call.call import Call
from gateway.call.headers import Options
from gateway.call.operation import Operation
from gateway.realtime.client import ClientGone
from gateway.realtime.closing import GOING_AWAY, CloseReason, brief, close_code
from providers.redaction import Redactor, TooManyEscapes
from providers.upstream.failures import BrokenAnswer, Disconnected
from providers.upstream.socket import ABNORMAL, SocketEnded

logger = logging.getLogger("gateway.realtime")

# How long the vendor may take to report what a response used that a client left behind.
SETTLE_SECONDS = 2.0


class Side(Protocol):
    """The socket of either side: a client's (``gateway.realtime.client``), an upstream's, or a call's sideband."""

    async def receive(self) -> str | bytes:
        """Return the next message; raise when the side is over."""

    async def send(self, message: str | bytes) -> None:
        """Send a message; return when the side can take another."""


class ClientSide(Side, Protocol):
    """The side of a session's client. ``status`` is what its log line says."""

    request_id: str
    status: int

    async def end(self, ending: CloseReason) -> None:
        """Report to the client how its session ended."""


class UpstreamSide(Side, Protocol):
    """The side of a session's upstream."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket."""


class Dialogue(Protocol):
    """What is done with the messages of a kind of session."""

    @property
    def busy(self) -> bool:
        """Whether a response is being made."""

    async def from_client(self, message: str | bytes) -> str | bytes | None:
        """Return what goes on to the upstream; raise ``CallError`` for what must not."""

    async def from_upstream(self, message: str | bytes) -> str | bytes | None:
        """Return what goes on to the client."""

    def error_for(self, error: Exception, message: str | bytes) -> str:
        """Return the error event for a refused message."""

    def stop_event(self) -> str:
        """Return the event that ends what is being made; empty when there is none."""

    def finish(self, error: BaseException | None, cut: BaseException, *, client_gone: bool) -> None:
        """Store the records: ``error`` is the session's, ``cut`` what ended the responses that are not
        complete.
        """


class SessionCall(Call):
    """The call that a session is to the rest of the gateway: :meth:`end` ends the session."""

    __slots__ = ("_session",)

    def __init__(self, caller: Caller, operation: Operation, options: Options, request_id: str) -> None:
        super().__init__(caller, operation, options, request_id)
        self.stream = True
        self._session: Session | None = None

    @property
    def is_overdue(self) -> bool:
        """A session has bounds of its own."""
        return False

    @property
    def attached(self) -> bool:
        """Whether a session has begun."""
        return self._session is not None

    def attach(self, session: "Session") -> None:
        """Let this call's end be the session's."""
        self._session = session
        if self.ended_by is not None:
            session.fail(self.ended_by)

    def end(self, error: errors.CallError) -> None:
        if self.ended_by is None:
            self.ended_by = error
            if self._session is not None:
                self._session.fail(error)
            elif self.task is not None and not self.task.done():
                self.task.cancel()  # still connecting


class Session:
    """An open session. :meth:`run` returns when it is over, its records written and both sides closed.

    ``ends_idle`` says that it ends when neither side has sent anything for ``GATEHOUSE_REALTIME_IDLE_SECONDS``.
    """

    def __init__(
        self,
        client: ClientSide,
        upstream: UpstreamSide,
        dialogue: Dialogue,
        clean: Redactor,
        *,
        ends_idle: bool = True,
    ) -> None:
        self._ends_idle = ends_idle
        self._clean = clean
        self._link = client
        self._upstream = upstream
        self._dialogue = dialogue
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[CloseReason] = self._loop.create_future()
        self._moved = self._loop.time()
        self._draining = False
        self._timers: list[asyncio.TimerHandle] = []

    async def run(self, first: str | bytes | None = None) -> CloseReason:
        """Pump until something ends the session. ``first`` is a client's message that was read already."""
        self._arm(settings.REALTIME_MAX_SECONDS, self._too_long)
        if self._ends_idle:
            self._arm(settings.REALTIME_IDLE_SECONDS, self._look_for_idleness)
        pumps = [
            self._loop.create_task(self._from_client(first)),
            self._loop.create_task(self._from_upstream()),
        ]
        hurry = False
        try:
            ending = await self._ended
        except asyncio.CancelledError:  # the server cuts off what did not end in time
            hurry = True
            ending = CloseReason("gateway", GOING_AWAY, "shutting_down")
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        for timer in self._timers:
            timer.cancel()
        for pump in pumps:
            pump.cancel()
        going = ending.side == "gateway" and ending.code == GOING_AWAY
        error = ending.error or (errors.shutting_down() if going else None)
        if hurry:
            self._finish(ending, error)
        await asyncio.gather(*pumps, return_exceptions=True)
        if hurry:
            await asyncio.gather(self._link.end(ending), self._close_upstream(ending))
        else:
            await asyncio.gather(self._link.end(ending), self._wind_up(ending, error))
        return ending

    def fail(self, error: Exception) -> None:
        """End the session with an error that is reported to the client."""
        self._end(CloseReason("gateway", close_code(error), brief(error), error))

    def drain(self, seconds: float) -> None:
        """End the session as soon as nothing is being made, within ``seconds``: the server goes away."""
        self._draining = True
        if not self._dialogue.busy or seconds <= 0:
            self._go_away()
        else:
            self._arm(seconds, self._go_away)

    # --- pumps ------------------------------------------------------------------------------------------------------
    async def _from_client(self, first: str | bytes | None) -> None:
        client, upstream, dialogue, loop = self._link, self._upstream, self._dialogue, self._loop
        try:
            while True:
                message = await client.receive() if first is None else first
                first = None
                self._moved = loop.time()
                try:
                    passed = await dialogue.from_client(message)
                except errors.CallError as error:
                    await client.send(dialogue.error_for(error, message))
                    continue
                if passed is not None:
                    await upstream.send(passed)
        except ClientGone as gone:
            self._end(CloseReason("client", gone.code, gone.reason))
        except Disconnected:
            return  # the other pump learns why
        except OSError:
            self._end(CloseReason("client", ABNORMAL))
        except errors.CallError as error:
            self.fail(error)
        except Exception as error:  # the pump's boundary: the session ends, reported and logged
            logger.exception("Session %s failed.", client.request_id)
            self.fail(error)

    async def _from_upstream(self) -> None:
        client, upstream, dialogue, loop = self._link, self._upstream, self._dialogue, self._loop
        try:
            while True:
                message = await upstream.receive()
                passed = await dialogue.from_upstream(message)
                if passed is not None:
                    await client.send(await self._clean.message(passed))
                self._moved = loop.time()
                if self._draining and not dialogue.busy:
                    self._go_away()
        except TooManyEscapes as error:
            self.fail(BrokenAnswer(str(error)))
        except SocketEnded as ended:
            if ended.code == ABNORMAL:
                self.fail(Disconnected("The upstream closed the connection without a word."))
            else:
                self._end(CloseReason("upstream", ended.code, ended.reason))
        except OSError:
            self._end(CloseReason("client", ABNORMAL))
        except errors.CallError as error:
            self.fail(error)
        except Exception as error:  # the pump's boundary: the session ends, reported and logged
            logger.exception("Session %s failed.", client.request_id)
            self.fail(error)

    # --- endings ----------------------------------------------------------------------------------------------------
    def _end(self, ending: CloseReason) -> None:
        if not self._ended.done():
            self._ended.set_result(ending)

    def _go_away(self) -> None:
        self._end(CloseReason("gateway", GOING_AWAY, "shutting_down"))

    def _too_long(self) -> None:
        self.fail(
            errors.SessionOver(
                f"The session lasted {settings.REALTIME_MAX_SECONDS:g} seconds, which is the limit.",
                code="session_expired",
            )
        )

    def _look_for_idleness(self) -> None:
        left = self._moved + settings.REALTIME_IDLE_SECONDS - self._loop.time()
        if left > 0:
            self._arm(left, self._look_for_idleness)
            return
        self.fail(
            errors.SessionOver(f"Nothing was sent for {settings.REALTIME_IDLE_SECONDS:g} seconds.", code="session_idle")
        )

    def _arm(self, seconds: float, function: Callable[[], None]) -> None:
        self._timers = [timer for timer in self._timers if not timer.cancelled() and timer.when() > self._loop.time()]
        self._timers.append(self._loop.call_later(seconds, function))

    async def _settle(self) -> None:
        """Have what is being made ended, and wait for what the vendor says it used: no one else will ask."""
        stop = self._dialogue.stop_event()
        if not stop:
            return
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._upstream.send(stop)
                while self._dialogue.busy:
                    await self._dialogue.from_upstream(await self._upstream.receive())
        except (TimeoutError, SocketEnded, Disconnected, errors.CallError):
            return

    async def _wind_up(self, ending: CloseReason, error: BaseException | None) -> None:
        """Store the records, after what is being made was ended; close the upstream."""
        try:
            if ending.side != "upstream" and self._dialogue.busy:
                await self._settle()
        finally:
            self._finish(ending, error)
        await self._close_upstream(ending)

    def _finish(self, ending: CloseReason, error: BaseException | None) -> None:
        by_client = ending.side == "client"
        if by_client and ending.code == ABNORMAL:
            self._link.status = 499
            error = errors.ClientGone("The client is lost.")
        by_whom = (
            errors.ClientGone("The client left.") if by_client else Disconnected("The upstream closed the socket.")
        )
        self._dialogue.finish(error, error or by_whom, client_gone=by_client)

    async def _close_upstream(self, ending: CloseReason) -> None:
        if ending.side == "client" and ending.code != ABNORMAL:
            await self._upstream.close(ending.code, ending.reason)
        else:
            await self._upstream.close(GOING_AWAY if ending.side == "client" else 1000)
