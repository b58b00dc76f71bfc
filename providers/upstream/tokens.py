"""Gets access tokens over the upstream client, under the egress rules. A call waits only where no token holds."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

from multidict import CIMultiDict

from providers.credentials import exchange
from providers.credentials.exchange import TokenRefused
from providers.credentials.held import HeldToken
from providers.snapshot import AccountSnapshot
from providers.upstream.client import UpstreamClient, UpstreamRequest
from providers.upstream.failures import SignInFailed, UpstreamFailure

logger = logging.getLogger(__name__)

SECONDS = 15.0
REFUSED = 401
LARGEST_ANSWER = 2**18


async def sign(client: UpstreamClient, account: AccountSnapshot, request: UpstreamRequest) -> None:
    """Put the account's access token into a request's headers. Raises :class:`SignInFailed` where there is none."""
    token = account.token
    assert token is not None
    request.headers["authorization"] = f"Bearer {await current(client, account, token)}"


def forget(token: HeldToken, request: UpstreamRequest) -> None:
    """Drop the token that a provider refused, so that the next call brings another."""
    token.drop(request.headers.get("authorization", "").removeprefix("Bearer "))


async def current(client: UpstreamClient, account: AccountSnapshot, token: HeldToken) -> str:
    """Return the token that holds now. One that ends soon is renewed meanwhile. Raises :class:`SignInFailed`."""
    if token.due and token.refusal is None:
        task = _renewal(client, account, token)
        if not token.value:
            await asyncio.wait([task])  # shared by calls: one that gives up must not cancel it
    value = token.value
    if not value:
        raise SignInFailed(f"The account {account.name!r} can't sign in. {token.refusal or 'No token came.'}")
    return value


async def renew(client: UpstreamClient, account: AccountSnapshot) -> None:
    """Renew the account's token if it is due; a failure is kept for the calls that need it."""
    token = account.token
    if token is not None and token.due and token.refusal is None:
        await asyncio.wait([_renewal(client, account, token)])


def _renewal(client: UpstreamClient, account: AccountSnapshot, token: HeldToken) -> "asyncio.Task[Any]":
    task = token.renewing
    if not isinstance(task, asyncio.Task) or task.done():
        task = token.renewing = asyncio.get_running_loop().create_task(_renew(client, account, token))
    return task


async def _renew(client: UpstreamClient, account: AccountSnapshot, token: HeldToken) -> None:
    credential = token.credential
    issuer = replace(
        account,
        name=f"{account.name} (tokens)",
        url=credential.token_url,
        headers=(),
        bound_to=None,
        token=None,
        connection_limit=0,
        connect_timeout=SECONDS,
        read_timeout=SECONDS,
        revision=credential.token_url,
    )
    body = await asyncio.to_thread(exchange.form, credential)  # a signature takes a millisecond
    headers = CIMultiDict({"content-type": exchange.FORM, "accept": "application/json", "user-agent": "gatehouse"})
    request = UpstreamRequest("POST", credential.token_url, headers, body, total_timeout=SECONDS)
    try:
        answer = await client.send(issuer, request)
        try:
            token.keep(exchange.read(answer.status, await answer.read(LARGEST_ANSWER), credential))
        finally:
            answer.close()
    except UpstreamFailure as failure:
        token.refuse(exchange.unreached(credential, str(failure)))
    except TokenRefused as refusal:
        token.refuse(refusal)
    except Exception:  # the task's boundary: the calls that wait for it have to hear of it
        logger.exception("Asking for an access token failed")
        token.refuse(
            exchange.unreached(credential, "Gatehouse failed on it. The operator finds the reason in the log.")
        )
