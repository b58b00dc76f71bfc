"""A small OpenID Connect provider: discovery, authorization code with PKCE, signed id tokens and user info."""

import base64
import hashlib
import json
import secrets
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.server_thread import ServerThread

CLIENT, SECRET = "gatehouse", "secret-of-the-client"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class OpenIdProvider(ServerThread):
    """Whoever is sent to it comes back as ``person``: the claims of the next sign-in. ``faults`` change its answers:
    ``audience``, ``issuer`` and ``subject`` (of the user info) by another, ``deny`` by a refusal,
    ``down`` its description by a 503, ``list`` by a list, ``lacks`` takes one name out of it, ``nameless`` the subject
    out of the user info. Without ``userinfo_endpoint`` the id token has all claims."""

    def __init__(self) -> None:
        self.person: dict[str, Any] = {}
        self.faults: dict[str, str] = {}
        self.granted: dict[str, dict[str, str]] = {}
        self.claims: dict[str, dict[str, Any]] = {}
        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), self._handler()))
        self.issuer = f"http://127.0.0.1:{self.address[1]}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                asked = {name: values[0] for name, values in parse_qs(address.query).items()}
                if address.path == "/.well-known/openid-configuration":
                    said = [] if "list" in provider.faults else provider.configuration()
                    self._json(503 if "down" in provider.faults else 200, said)
                elif address.path == "/authorize":
                    self.send_response(302)
                    self.send_header("location", provider.authorize(asked))
                    self.end_headers()
                elif address.path == "/userinfo":
                    claims = provider.claims.get(self.headers.get("authorization", "").removeprefix("Bearer "))
                    self._json(200 if claims else 401, claims or {})
                else:
                    self._json(404, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                asked = {name: values[0] for name, values in parse_qs(body).items()}
                answer = provider.token(asked)
                self._json(200 if answer else 400, answer or {"error": "invalid_grant"})

            def _json(self, status: int, answer: Any) -> None:
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        return Handler

    def configuration(self) -> dict[str, Any]:
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }
        return {name: value for name, value in said.items() if name != self.faults.get("lacks")}

    def authorize(self, asked: dict[str, str]) -> str:
        if "deny" in self.faults:
            return f"{asked['redirect_uri']}?{urlencode({'error': 'access_denied', 'state': asked['state']})}"
        code = secrets.token_hex(8)
        self.granted[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, asked: dict[str, str]) -> dict[str, Any] | None:
        granted = self.granted.pop(asked.get("code", ""), None)
        verifier = asked.get("code_verifier", "").encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        if granted is None or challenge != granted["code_challenge"] or asked["client_secret"] != SECRET:
            return None
        if asked["redirect_uri"] != granted["redirect_uri"] or asked["client_id"] != CLIENT:
            return None
        now = int(time.time())
        claims = {
            **(self.person if self.faults.get("lacks") == "userinfo_endpoint" else {}),
            "iss": self.faults.get("issuer", self.issuer),
            "aud": self.faults.get("audience", CLIENT),
            "iat": now,
            "exp": now + 60,
            "sub": self.person["sub"],
        }
        access = secrets.token_hex(8)
        self.claims[access] = {**self.person, "sub": self.faults.get("subject", self.person["sub"])}
        if "nameless" in self.faults:
            del self.claims[access]["sub"]
        id_token = jwt.encode(claims, KEY, algorithm="RS256")
        return {"access_token": access, "token_type": "Bearer", "id_token": id_token}
