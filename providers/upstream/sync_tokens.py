"""Access tokens outside the event loop: for credential tests, jobs and commands."""

from providers.credentials import exchange
from providers.credentials.exchange import TokenRefused
from providers.credentials.held import HeldToken
from providers.upstream.sync_client import CheckedClient, Resolve, Unreachable, resolve

SECONDS = 15.0


def authorization(token: HeldToken | None, resolve: Resolve = resolve) -> dict[str, str]:
    """Return the header of an account's access token; nothing where there is a key. Raises :class:`TokenRefused`."""
    return {} if token is None else {"authorization": f"Bearer {token_now(token, resolve)}"}


def token_now(token: HeldToken, resolve: Resolve = resolve) -> str:
    """Return the token that holds now, a new one where it is due. Raises :class:`TokenRefused`."""
    if token.due:
        refusal = token.refusal
        try:
            if refusal is None:
                token.keep(_asked(token, resolve))
        except TokenRefused as failure:
            refusal = failure
            token.refuse(failure)
        if not token.value:
            raise refusal or TokenRefused("No token came.")
    return token.value


def _asked(token: HeldToken, resolve: Resolve) -> exchange.Token:
    credential = token.credential
    headers = {"content-type": exchange.FORM, "accept": "application/json"}
    with CheckedClient(
        credential.token_url, headers, connect_timeout=SECONDS, read_timeout=SECONDS, resolve=resolve
    ) as client:
        try:
            reply = client.call("POST", credential.token_url, content=exchange.form(credential))
        except Unreachable as failure:
            raise exchange.unreached(credential, f"{failure}.") from None
    return exchange.read(reply.status, reply.body, credential)
