"""A server that takes what is posted to it and answers what it is to."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.server_thread import ServerThread


class HttpReceiver(ServerThread):
    """What was posted: path with query, headers in lower case, and body. ``first`` are the statuses of the first
    answers, ``status`` is that of all others.
    """

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.first: list[int] = []
        self.status = 202
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.first.pop(0) if receiver.first else receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), Handler))

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.address[1]}"

    def bodies(self) -> list[Any]:
        """Return what was posted, read as JSON."""
        return [json.loads(body) for _, _, body in self.got]
