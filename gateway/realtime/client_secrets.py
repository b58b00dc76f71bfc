"""Who opens a socket: a token in a header or in the subprotocol that browsers use, or a short-lived client secret of
ours.

A client secret names a token, an account, a model and a session's settings, encrypted with a key that is made of
``SECRET_KEY``: every worker can open one, no one else can read or change one. It dies with its token.
"""

import base64
import hashlib
import hmac
import zlib
from collections.abc import Mapping, Sequence
from time import time
from typing import Any

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from accounts.caller import Caller
from gateway.access.authentication import caller_of, check_alive, check_loaded, presented_token
from gateway.call.errors import BadToken, InvalidRequest
from gateway.state import state

KEY_SUBPROTOCOL = "openai-insecure-api-key."
BETA_SUBPROTOCOL = "openai-beta."
SECRET_PREFIX = "ek_gh_"
# It has to fit into a header line, beside the subprotocol's name.
SECRET_CHARACTERS = 6000
SESSION_BYTES = 2**18


class ClientSecret(msgspec.Struct, array_like=True, frozen=True):
    """What a client secret opens: sessions of one kind (``realtime``, ``transcription``, ``translation``) until
    ``expires_at``.

    ``model`` is the name that was asked for, empty where a transcription leaves it to the vendor; ``session`` the
    settings that a session begins with, as JSON.
    """

    token_id: int
    account: str
    model: str
    kind: str
    expires_at: int
    session: str = "{}"


def mint(secret: ClientSecret) -> str:
    """Return ``secret`` as a string.

    Raises :class:`~gateway.call.errors.InvalidRequest` when its settings are too long.
    """
    said = _encode(secret)
    sealed = _cipher().encrypt(zlib.compress(said, 9)).decode().rstrip("=")
    if len(sealed) > SECRET_CHARACTERS or len(said) > SESSION_BYTES:
        raise InvalidRequest(
            "The session's settings are too long for a client secret. Send the long ones (instructions, tools) with "
            "session.update when the session is open.",
            param="session",
            code="session_too_long",
        )
    return SECRET_PREFIX + sealed


def open_secret(text: str) -> tuple[ClientSecret, Caller]:
    """Return what a client secret says, and whose it is. Raises :class:`~gateway.call.errors.BadToken`."""
    check_loaded()
    sealed = text.removeprefix(SECRET_PREFIX)
    try:
        packed = _cipher().decrypt(sealed + "=" * (-len(sealed) % 4))
        secret = _secret.decode(zlib.decompressobj().decompress(packed, SESSION_BYTES))
    except (InvalidToken, zlib.error, msgspec.DecodeError, ValueError):
        raise BadToken("The client secret is not one of this gateway's, or part of it is missing.") from None
    if secret.expires_at <= time():
        raise BadToken("The client secret has expired. Ask your server for a new one.", code="client_secret_expired")
    caller = state.directory.caller_of_token(secret.token_id)
    if caller is None:
        raise BadToken("The token that made this client secret is gone.", code="token_revoked")
    check_alive(caller)
    state.ledger.touch(caller.token_id, time())
    return secret, caller


def identify(headers: Mapping[bytes, bytes], subprotocols: Sequence[str]) -> tuple[Caller, ClientSecret | None]:
    """Return who opens the socket, and the client secret that was used.

    Raises :class:`~gateway.call.errors.BadToken`.
    """
    in_subprotocol = next((each for each in subprotocols if each.startswith(KEY_SUBPROTOCOL)), "")
    if in_subprotocol and b"authorization" not in headers and b"api-key" not in headers:
        presented = in_subprotocol.removeprefix(KEY_SUBPROTOCOL)
    else:
        presented = presented_token(headers)
    if presented.startswith(SECRET_PREFIX):
        secret, caller = open_secret(presented)
        return caller, secret
    return caller_of(presented), None


def answered_subprotocol(subprotocols: Sequence[str]) -> str | None:
    """Return which of the offered subprotocols the socket speaks: ``realtime``, never one that holds a key."""
    if "realtime" in subprotocols:
        return "realtime"
    return next((each for each in subprotocols if not each.startswith("openai-")), None)


def beta_header(subprotocols: Sequence[str]) -> str:
    """Return the ``OpenAI-Beta`` header that a browser asks for by subprotocol (``openai-beta.realtime-v1``), or
    nothing.
    """
    asked = next((each for each in subprotocols if each.startswith(BETA_SUBPROTOCOL)), "")
    return asked.removeprefix(BETA_SUBPROTOCOL).replace("-v", "=v", 1)


def settings_of(secret: ClientSecret) -> dict[str, Any]:
    """Return the settings that the secret's sessions begin with."""
    found: dict[str, Any] = msgspec.json.decode(secret.session)
    return found


def _cipher() -> Fernet:
    key = hmac.digest(settings.SECRET_KEY.encode(), b"gatehouse client secret", hashlib.sha256)
    return Fernet(base64.urlsafe_b64encode(key))


_encode = msgspec.json.Encoder().encode
_secret = msgspec.json.Decoder(ClientSecret)
