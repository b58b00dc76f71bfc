"""``Idempotency-Key``: of calls of one owner with one key, the first is answered, and the others get its answer again.

Kept is what was done and paid for: successes, and what the provider refused for good. An error of ours, a failure that
may pass, and a stream that was cut are not: then the next call with the key is the first one.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from django.conf import settings

from accounts.caller import Caller
from gateway.access import accounts as access_accounts
from gateway.access import models as access_models
from gateway.call import errors
from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.describe import begin_call
from gateway.endpoints.fingerprint import Fingerprint
from gateway.objects import kept_answers
from gateway.objects.kept_answers import LEASE, About, Busy, Header, Kept
from gateway.objects.store import objects
from gateway.pipeline.describe import IDEMPOTENCY_KEY, own_key
from gateway.pipeline.records import record_replay
from gateway.state import state

logger = logging.getLogger("gateway.endpoints.idempotency")

Serve = Callable[[], Awaitable[Reply]]
NAME: Final = "idempotency-key"
KEY_BYTES: Final = 255
WAIT_SECONDS: Final = 10.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 0.5
RENEW_SECONDS: Final = LEASE.total_seconds() / 4
PIECE_BYTES: Final = 2**16
REPLAYED: Final[Header] = (b"idempotency-replayed", b"true")
FIRST_ID: Final = b"x-gatehouse-replayed-request-id"
# Refusals that say the same tomorrow; the others may pass, or are the operator's to fix.
FINAL_REFUSALS: Final = frozenset({400, 413, 415, 422})
# What is true of the first call only.
OF_ONE_CALL: Final = (
    b"server-timing",
    b"x-tfy-applied-rules",
    b"retry-after",
    b"x-ratelimit-",
    b"anthropic-ratelimit-",
)


async def once(request: InferenceRequest, caller: Caller, serve: Serve) -> Reply:
    """Return the reply to a request that has an idempotency key: what ``serve`` answers, or what it answered before.

    Raises :class:`~gateway.call.errors.InvalidRequest` for a bad key, :class:`~gateway.call.errors.KeyReused` for
    another request with a key that was used, :class:`~gateway.call.errors.KeyInUse` while a call with the key is under
    way, and :class:`~gateway.call.errors.Unavailable` when the database can't say.
    """
    key = request.raw_headers[IDEMPOTENCY_KEY]
    if not (0 < len(key) <= KEY_BYTES and all(32 < byte < 127 for byte in key)):
        raise errors.InvalidRequest(
            f"The header Idempotency-Key holds 1 to {KEY_BYTES} visible ASCII characters, for example a UUID.",
            param=NAME,
        )
    scope, name = own_key(caller, key), secrets.token_hex(16)
    fingerprint = Fingerprint(request)
    kept = await _turn(scope, caller, name)
    if kept is not None:
        return await _again(request, caller, kept, fingerprint)
    turn = _Turn(request, scope, name, fingerprint)
    try:
        return await turn.follow(await serve())
    except BaseException:  # the turn's boundary: whatever ends the call, the next one must get it
        turn.end()
        raise


async def _turn(scope: str, caller: Caller, name: str) -> Kept | None:
    """Take the turn, and return ``None``; or return the kept answer. Wait for a call that is under way, not for
    ever."""
    loop, pause = asyncio.get_running_loop(), FIRST_PAUSE_SECONDS
    until = loop.time() + WAIT_SECONDS
    claiming = asyncio.ensure_future(objects.run(kept_answers.claim, scope, caller.key, name))
    while isinstance(found := await _claimed(claiming, scope, name), Busy):
        if loop.time() >= until:
            raise errors.KeyInUse(
                "A call with this Idempotency-Key is under way. Ask again in a moment: its answer will be yours.",
                param=NAME,
                headers={"retry-after": "5"},
            )
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        claiming = asyncio.ensure_future(objects.run(kept_answers.claim, scope, caller.key, name))
    return found


async def _claimed(claiming: "asyncio.Future[Kept | Busy | None]", scope: str, name: str) -> Kept | Busy | None:
    """Return what a claim came to; one that its call did not live to see is given back."""
    try:
        return await asyncio.shield(claiming)
    except asyncio.CancelledError:
        state.finish_later(_undone(claiming, scope, name))
        raise


async def _undone(claiming: "asyncio.Future[Kept | Busy | None]", scope: str, name: str) -> None:
    await asyncio.wait((claiming,))
    await _quietly(kept_answers.release, scope, name)


async def _quietly(function: Callable[..., object], *arguments: object) -> None:
    """Change the table as far as it can be reached; a claim that stays ends with its lease."""
    try:
        await objects.run(function, *arguments)
    except errors.Unavailable:
        logger.warning("An idempotency key stays taken until its lease ends: the database is unavailable.")


class _Turn:
    """The first call with a key: it holds the claim, and gives it back, or leaves its answer. :meth:`end` is safe to
    call twice."""

    def __init__(self, request: InferenceRequest, scope: str, name: str, fingerprint: Fingerprint) -> None:
        self._request = request
        self._claim = scope, name
        self._fingerprint = fingerprint
        self._renewing = asyncio.get_running_loop().create_task(self._renew())
        self._over = False

    async def follow(self, reply: Reply) -> Reply:
        """Keep ``reply`` when it is complete, a stream at its end."""
        if reply.stream is not None:
            reply.listen(self._passing(reply, reply.stream))
            reply.also_on_close(self.end)
        else:
            await self._complete(reply, [reply.body], len(reply.body))
        return reply

    def end(self) -> None:
        """Give the claim back, unless the answer was kept."""
        if not self._over:
            self._over = True
            self._renewing.cancel()
            state.finish_later(_quietly(kept_answers.release, *self._claim))

    async def _passing(self, reply: Reply, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        parts: list[bytes] = []
        size = 0
        ticket = self._request.ticket
        try:
            async for part in stream:
                size += len(part)
                if size <= settings.IDEMPOTENCY_ANSWER_BYTES:
                    parts.append(part)
                    if ticket is not None:
                        ticket.count(len(part))
                yield part
        finally:
            await stream.aclose()  # type: ignore[attr-defined]  # replies' streams are generators
        await self._complete(reply, parts, size)

    async def _complete(self, reply: Reply, parts: list[bytes], size: int) -> None:
        """Keep a complete answer that is final; when it was called off meanwhile, it is kept all the same."""
        if not self._request.body_read:
            await self._request.discard_body()
        if not (self._request.body_read and _is_final(self._request, reply)):
            self.end()
            return
        self._over = True
        body = b"".join(parts) if size <= settings.IDEMPOTENCY_ANSWER_BYTES else None
        await asyncio.shield(
            state.finish_later(self._keep(_about(self._request, reply, self._fingerprint.value), body))
        )

    async def _keep(self, about: About, body: bytes | None) -> None:
        await _quietly(kept_answers.keep, *self._claim, about, body)
        self._renewing.cancel()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await _quietly(kept_answers.renew, *self._claim)


def _is_final(request: InferenceRequest, reply: Reply) -> bool:
    """Whether a complete reply is one to keep: the whole of what was asked for, or a refusal for good."""
    attempt = request.call.attempt if request.call is not None else None
    if attempt is not None and not isinstance(attempt.failure, errors.ClientGone | None):
        return False
    if attempt is not None and reply.stream is not None:
        return attempt.record.error_class in ("", errors.code_of(errors.ClientGone("")))
    return all(
        200 <= status < 300 or status in FINAL_REFUSALS
        for status in (reply.status, (attempt.outcome if attempt is not None else 0) or reply.status)
    )


def _about(request: InferenceRequest, reply: Reply, fingerprint: bytes) -> About:
    headers = [(name, value) for name, value in reply.headers if not name.startswith(OF_ONE_CALL)]
    about = About(fingerprint, reply.status, headers, reply.stream is None, request.request_id)
    call = request.call
    if call is not None:
        about.operation, about.endpoint, about.model_asked = call.operation.name, call.endpoint, call.model_asked
        about.account = about.account_named = call.account_name
        if call.attempt is not None:
            record = call.attempt.record
            about.account, about.provider = record.account, record.provider
            about.model_served, about.model_resolved = record.model_served, record.model_resolved
    return about


async def _again(request: InferenceRequest, caller: Caller, kept: Kept, fingerprint: Fingerprint) -> Reply:
    """Return a kept answer to the same request. It costs nothing, no limit counts it, and its record says so."""
    about, body = kept.about, kept.body
    await fingerprint.read_rest()
    if about is not None and about.account:
        _admit(caller, about)
    if about is not None and not secrets.compare_digest(about.fingerprint, fingerprint.value):
        raise errors.KeyReused(
            "This Idempotency-Key was used with another request. Send the same path, headers and body, or use "
            "another key.",
            param=NAME,
        )
    if about is None or body is None:
        raise errors.KeyInUse(
            "This call was answered, but its answer is not kept: it was too large, or had to make room. Use another "
            "Idempotency-Key to make the call again.",
            param=NAME,
            code="idempotent_answer_not_kept",
            headers={"x-should-retry": "false"},
        )
    if about.operation:
        call = begin_call(request, caller, Operation(about.operation, "", about.endpoint))
        call.model_asked, call.stream = about.model_asked, not about.whole
        record_replay(call, about, len(body))
    headers = [*about.headers, REPLAYED, (FIRST_ID, about.request_id.encode())]
    return Reply(about.status, headers, body) if about.whole else Reply(about.status, headers, stream=_pieces(body))


def _admit(caller: Caller, about: About) -> None:
    """Raise as the call itself would when its caller may not make it now: model or account were withdrawn meanwhile."""
    named = state.directory.accounts.get(about.account_named)
    if about.model_asked and named is not None and about.model_asked.partition("/")[0] not in state.directory.accounts:
        access_models.on_account(caller, named, about.model_asked)  # as batches and tuning name models, too
    elif about.model_asked:
        access_models.resolve(caller, about.model_asked, about.account_named)
    else:
        access_accounts.usable(caller, about.account)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(body), PIECE_BYTES):
        yield body[begin : begin + PIECE_BYTES]
