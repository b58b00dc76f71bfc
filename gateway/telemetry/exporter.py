"""Metrics at a port of their own, for Prometheus: ``GET /metrics``, behind a bearer token when one is set.

One process of the installation serves it, for all of them; when it ends another one takes over.
"""

import gzip
import hmac
import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gateway.telemetry.exposition import CONTENT_TYPE, render
from gateway.telemetry.shared import SharedCounts

logger = logging.getLogger("gateway.telemetry")

PATH = "/metrics"
READ_SECONDS = 5.0
CONNECTIONS = 8
"""Connections at once; more wait in the system's queue."""


class Exporter:
    """Serves the metrics of an installation."""

    def __init__(self, host: str, port: int, token: str, groups: tuple[str, ...]) -> None:
        self._address = (host, port)
        self._token = token
        self._groups = groups
        self._server: _Server | None = None
        self._fault = ""

    def serve(self, shared: SharedCounts) -> None:
        """Begin to serve, unless that was done. A port that is in use is logged once, and tried again next time."""
        if self._server is not None:
            return
        try:
            self._server = _Server(self._address, self._token, lambda: render(*shared.merged(), self._groups))
        except OSError as error:
            fault = error.strerror or type(error).__name__
            if fault != self._fault:
                logger.error("Metrics can't be served at port %d: %s.", self._address[1], fault)
            self._fault = fault
            return
        threading.Thread(target=self._server.serve_forever, name="gatehouse-exporter", daemon=True).start()

    def close(self) -> None:
        """Stop to serve."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], token: str, read: Callable[[], bytes]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.token = token
        self.read = read
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._room.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("A scrape failed.", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = READ_SECONDS
    server_version, sys_version = "Gatehouse", ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self._answer(404, "text/plain", b"Metrics are at /metrics.\n")
        elif not self._allowed():
            self._answer(401, "text/plain", b"Send the token of GATEHOUSE_METRICS_TOKEN as a bearer token.\n")
        else:
            self._answer(200, CONTENT_TYPE, self.server.read())

    do_HEAD = do_GET

    def _allowed(self) -> bool:
        scheme, _, given = self.headers.get("authorization", "").partition(" ")
        token = self.server.token.encode()
        return not token or (scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token))

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        if status == 401:
            self.send_header("www-authenticate", "Bearer")
        if "gzip" in self.headers.get("accept-encoding", "") and len(body) > 1000:
            body = gzip.compress(body, 1)
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not worth a line."""
