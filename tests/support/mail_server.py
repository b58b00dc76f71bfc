"""A mail server that speaks SMTP over real sockets: as much of RFC 5321 as a client without extensions needs."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from typing import Any


class MailServer:
    """What was delivered: pairs of recipients and the message. ``refusing`` answers 550 to every recipient."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], Message]] = []
        self.refusing = False
        mail = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.say("220 mail.test")
                recipients: list[str] = []
                while line := self.rfile.readline():
                    verb = line[:4].upper()
                    if verb == b"QUIT":
                        self.say("221 bye")
                        return
                    if verb == b"RCPT" and mail.refusing:
                        self.say("550 no such user")
                        continue
                    if verb == b"RCPT":
                        recipients.append(line.partition(b"<")[2].partition(b">")[0].decode())
                    if verb == b"DATA":
                        self.say("354 go on")
                        mail.got.append((recipients, message_from_bytes(self.content())))
                        recipients = []
                    self.say("250 ok")

            def content(self) -> bytes:
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
                return b"".join(lines)

            def say(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[Any, int]:
        """Host and port."""
        host, port = self._server.server_address[:2]
        return host, port

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Run a mail server."""
    server = MailServer()
    try:
        yield server
    finally:
        server.close()
