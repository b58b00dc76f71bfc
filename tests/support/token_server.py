"""A server that issues access tokens as Microsoft Entra and Google do, and upstreams that take them: scripted."""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

TENANT, CLIENT, SECRET = "contoso.example", "11111111-2222-3333-4444-555555555555", "client-secret-0123456789"
EMAIL = "gatehouse@project-1.iam.gserviceaccount.com"
_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = _key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


def key_file(origin: str) -> str:
    """The key file of a service account whose tokens come from ``origin``."""
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "project-1",
            "private_key_id": "key-1",
            "private_key": PEM,
            "client_email": EMAIL,
            "token_uri": f"{origin}/token",
        }
    )


def claims_of(assertion: str) -> dict[str, Any]:
    """The claims of an assertion; raises ``InvalidSignature`` unless it is signed with the service account's key."""
    head, claims, signature = assertion.split(".")
    _key.public_key().verify(_decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), SHA256())
    found: dict[str, Any] = json.loads(_decoded(claims))
    return found


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class TokenServer:
    """Issues tokens ``token-1``, ``token-2`` …, and answers everything else as an upstream that takes the last ones.

    ``status`` and ``error`` make it refuse; ``lasts`` is how long its tokens hold, in seconds; ``delay`` how long it
    takes; ``revoked`` are tokens that its upstream does not take any more. ``asked`` are the forms that came for
    tokens, ``called`` path, headers and body of the other requests.
    """

    def __init__(self) -> None:
        self.status, self.error, self.lasts, self.delay = 200, "", 3600.0, 0.0
        self.revoked: set[str] = set()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.called: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: dict[str, tuple[int, bytes, str]] = {}
        self._issued: set[str] = set()
        self._number = 0

    def __enter__(self) -> Self:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                owner._answer(self)

            def do_GET(self) -> None:
                owner._answer(self)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def key_file(self) -> str:
        """The key file of a service account whose tokens come from here."""
        return key_file(self.url)

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in request.headers.items()}
        if headers.get("content-type") == "application/x-www-form-urlencoded":
            status, answer, kind = self._token(request.path, body)
        else:
            self.called.append((request.path, headers, body))
            status, answer, kind = self._upstream(request.path, headers)
        request.send_response(status)
        request.send_header("content-type", kind)
        request.send_header("content-length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _token(self, path: str, body: bytes) -> tuple[int, bytes, str]:
        self.asked.append((path, {name: values[0] for name, values in parse_qs(body.decode()).items()}))
        time.sleep(self.delay)
        if self.status != 200:
            said = {"error": "invalid_client", "error_description": self.error}
            return self.status, json.dumps(said).encode(), "application/json"
        self._number += 1
        token = f"token-{self._number}-of-the-account"
        self._issued.add(token)
        answer = {"token_type": "Bearer", "expires_in": self.lasts, "access_token": token}
        return 200, json.dumps(answer).encode(), "application/json"

    def _upstream(self, path: str, headers: dict[str, str]) -> tuple[int, bytes, str]:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self._issued or token in self.revoked or "api-key" in headers:
            error = {"error": {"code": "401", "message": f"Access denied due to invalid token {token}."}}
            return 401, json.dumps(error).encode(), "application/json"
        answer = self.answers.get(path.partition("?")[0])
        return answer or (200, json.dumps(COMPLETION).encode(), "application/json")
