"""A server that takes what is posted to it and answers what it is to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class HttpReceiver:
    """What was posted: pairs of path with query, headers in lower case, and body. ``status`` is answered to all."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 202
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def bodies(self) -> list[Any]:
        """Return what was posted, read as JSON."""
        return [json.loads(body) for _, _, body in self.got]

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()


@contextmanager
def http_receiver() -> Iterator[HttpReceiver]:
    """Run a receiver."""
    receiver = HttpReceiver()
    try:
        yield receiver
    finally:
        receiver.close()
