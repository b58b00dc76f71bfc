"""The exchange of a credential for an access token: the request, and what the answer says. Pure but for the clock."""

import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from providers.credentials.kinds import GOOGLE_SCOPE, Credential, Entra, ServiceAccount

FORM = "application/x-www-form-urlencoded"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_SECONDS = 3600
USUAL_SECONDS = 3600
LONGEST_REASON = 300


class Token(NamedTuple):
    """An access token, and when it ends, in unix seconds."""

    value: str
    ends: float


class TokenRefused(Exception):
    """No token came for a credential. The message says why, and holds no secret."""


def form(credential: Credential, now: Callable[[], float] = time.time) -> bytes:
    """Return the body of the request for a token."""
    if isinstance(credential, Entra):
        return urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": credential.client_id,
                "client_secret": credential.client_secret,
                "scope": credential.token_scope,
            }
        ).encode()
    return urlencode({"grant_type": JWT_BEARER, "assertion": _assertion(credential, int(now()))}).encode()


def _assertion(account: ServiceAccount, now: int) -> str:
    from google.auth import jwt  # as for the signer

    claims = {
        "iss": account.client_email,
        "scope": GOOGLE_SCOPE,
        "aud": account.token_uri,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
    }
    signed: bytes = jwt.encode(account.signer(), claims)  # type: ignore[no-untyped-call]
    return signed.decode("ascii")


def read(status: int, body: bytes, credential: Credential, now: Callable[[], float] = time.time) -> Token:
    """Return the token of an answer. Raises :class:`TokenRefused`."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fields = None
    fields = fields if isinstance(fields, dict) else {}
    value = fields.get("access_token")
    if status != 200 or not isinstance(value, str) or not value.isprintable() or not value:
        raise TokenRefused(f"{_issuer(credential)} gave no access token: {_reason(status, fields, credential)}.")
    seconds = fields.get("expires_in")
    try:
        lasts = max(float(seconds), 0.0) if seconds is not None else USUAL_SECONDS
    except (TypeError, ValueError):
        lasts = USUAL_SECONDS
    return Token(value, now() + lasts)


def unreached(credential: Credential, why: str) -> TokenRefused:
    """Return the failure of a request for a token that brought no answer."""
    return TokenRefused(f"{_issuer(credential)} gave no access token: {why}")


def _issuer(credential: Credential) -> str:
    return "Microsoft Entra" if isinstance(credential, Entra) else "Google"


def _reason(status: int, fields: dict[str, object], credential: Credential) -> str:
    said = fields.get("error_description") or fields.get("error") or ""
    words = " ".join(str(said).split())[:LONGEST_REASON].rstrip(".")
    for secret in credential.secrets:
        words = words.replace(secret, "[redacted]")
    return f"it answered {status}" + (f", {words}" if words else "")
