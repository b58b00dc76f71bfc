"""A scripted upstream for the tests of credentials, and an account that points at it."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from providers.models import Model, ProviderAccount
from providers.probe.run import probe_account

KEY = "sk-test-0123456789abcdef"
GOOD = {
    "/v1/chat/completions": {"choices": []},
    "/v1/responses": {"output": []},
    "/v1/completions": {"choices": []},
    "/v1/embeddings": {"data": []},
    "/v1/moderations": {"results": []},
    "/v1/models": {"data": [{"id": "gpt-image-1"}, {"id": "vllm/llama"}]},
    "/v1/models/gpt-image-1": {"id": "gpt-image-1"},
}


class Upstream(ThreadingHTTPServer):
    """A server that answers each path as it is set up: ``(status, content type, body)``, and remembers what it was
    asked.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.answers = {path: (200, "application/json", json.dumps(body).encode()) for path, body in GOOD.items()}
        self.headers = {}
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request, client_address):
        """A client that goes away is part of these tests."""

    def error(self, path, status, message, code=None, kind="invalid_request_error"):
        body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        self.answers[path] = (status, "application/json", json.dumps(body).encode())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers), json.loads(body) if body else None))
        answer = self.server.answers.get(self.path, (404, "text/html", b"<h1>Not Found</h1>"))
        if callable(answer):
            answer = answer(self, self.server.asked[-1])
        if answer is None:
            return
        status, content_type, content = answer
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(content)))
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = respond

    def log_message(self, *args):
        pass


def account_at(url, **fields):
    account = ProviderAccount(name="openai-main", base_url=url, read_timeout=5, connect_timeout=2, **fields)
    account.api_key = KEY
    return account


def model(*types, name="gpt-4o-mini", upstream_id=""):
    return Model(name=name, upstream_id=upstream_id, model_types=list(types))


def probe(upstream, *types, **fields):
    """Test one model of an account at ``upstream``."""
    [result] = probe_account(account_at(upstream.url), [model(*types, **fields)])
    return result
