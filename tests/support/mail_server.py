"""A mail server that speaks SMTP over real sockets: as much of RFC 5321 as a client without extensions needs."""

import socketserver
from email import message_from_bytes
from email.message import Message

from tests.support.server_thread import ServerThread


class MailServer(ServerThread):
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

        super().__init__(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler))
