"""`POST /token`: Google's access tokens for a service account's signed assertion.

The tokens are the sandbox's own keys. It holds no public keys, so a signature only has to be there.
"""

import base64
import binascii
import time
import urllib.parse
from typing import Any

import msgspec

from sandbox.wire.messages import Answer, Request, Response, json_response
from sandbox.wire.routing import Route

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SECONDS = 3599
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


async def token(request: Request) -> Answer:
    """A token that Vertex AI takes; an error as OAuth words it."""
    form = dict(urllib.parse.parse_qsl(request.body.decode("latin-1")))
    if form.get("grant_type") != GRANT:
        return _refused("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
    claims = _claims(form.get("assertion", ""))
    now = time.time()  # not the sandbox's clock, which tests move forward: who signs has another
    if claims is None or not claims.get("iss"):
        return _refused("invalid_grant", "Invalid JWT: Failed audience check or malformed assertion.")
    if SCOPE not in str(claims.get("scope", "")).split():
        return _refused("invalid_scope", "Empty or missing scope not allowed.")
    if not now - SECONDS <= claims.get("iat", 0) <= now + SECONDS:
        return _refused(
            "invalid_grant", "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe."
        )
    key = min(request.app.keys).decode()
    return json_response({"access_token": key, "expires_in": SECONDS, "token_type": "Bearer"})


def _claims(assertion: str) -> dict[str, Any] | None:
    parts = assertion.split(".")
    if len(parts) != 3 or not all(parts):
        return None
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None
    return found if isinstance(found, dict) else None


def _refused(error: str, description: str) -> Response:
    return json_response({"error": error, "error_description": description}, 400)


ROUTES = (Route("POST", "/token", token, authenticated=False),)
