"""OpenID Connect from the environment, in the form that django-allauth reads."""

import hashlib
from typing import Any
from urllib.parse import urlsplit

from gateway.config.env import fail

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def openid_provider(issuer: str, client_id: str, secret: str) -> str:
    """Return the name that accounts at this issuer are stored under; empty when none is set.

    It differs for each issuer: who is ``1234`` at one may be someone else at another.
    Raises what ``fail`` returns for settings that go together and don't, or plain http beyond this machine.
    """
    given = {"ISSUER": issuer, "CLIENT_ID": client_id, "CLIENT_SECRET": secret}
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return ""
    if missing:
        name = f"GATEHOUSE_OIDC_{missing[0]}"
        raise fail(name, "is missing beside the other OpenID Connect settings.", "Set issuer, client id and secret.")
    parts = urlsplit(issuer)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise fail("GATEHOUSE_OIDC_ISSUER", "is not an https address.", "Give the issuer's https address.")
    return f"openid-{hashlib.sha256(issuer.encode()).hexdigest()[:12]}"


def password_sign_in(taken: bool, provider: str) -> bool:
    """Return whether passwords are taken. Raises what ``fail`` returns where nothing else would be."""
    if not taken and not provider:
        fix = "Set GATEHOUSE_OIDC_ISSUER, _CLIENT_ID and _CLIENT_SECRET, or leave it on."
        raise fail("GATEHOUSE_PASSWORD_SIGN_IN", "is off, and no other sign-in is configured.", fix)
    return taken


def openid_app(provider: str, name: str, issuer: str, client_id: str, secret: str) -> dict[str, Any]:
    """Return django-allauth's settings of the provider; empty without one."""
    if not provider:
        return {}
    app = {"provider_id": provider, "name": name, "client_id": client_id, "secret": secret}
    return {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [{**app, "settings": {"server_url": issuer}}]}}
