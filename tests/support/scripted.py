"""An upstream that answers with given bytes, for what no decent server would ever send; and a port that never
accepts.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

FILL_CONNECTIONS = 4


class ScriptedUpstream:
    """Answers each request with ``answer`` and closes.

    ``pieces`` of the answer are sent one by one, ``pause`` between.
    """

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.pause = 0.0
        self.requests = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def answer(self, *pieces: bytes, pause: float = 0.0) -> None:
        """Set what the next requests are answered with."""
        self.pieces, self.pause = list(pieces), pause

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            # All of the request is read first: closing with something unread would reset the connection.
            with connection.makefile("rb") as stream:
                length = 0
                while line := stream.readline().strip():
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                stream.read(length)
            self.requests += 1
            for piece in self.pieces:
                connection.sendall(piece)
                time.sleep(self.pause)


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """Yield a port of 127.0.0.1 where connecting takes for ever: its queue of connections is full."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(FILL_CONNECTIONS):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
