"""An upstream whose every answer a test plays by hand, in a thread of its own for each call, and which sees its caller
leave.
"""

import json
import select
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

LEAVE_SECONDS = 20.0


class Turn:
    """One call on the stage: what was asked, and what the script does about it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self._handler = handler
        self.path = handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.body = body
        self.left_at: float | None = None
        """When the caller closed its connection (Unix time); ``None``: not seen."""
        self.done = threading.Event()

    def answer(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send a whole JSON answer, with which the connection ends."""
        self.whole(json.dumps(value).encode(), status, headers)

    def whole(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send a whole answer that says it is JSON, with which the connection ends."""
        length = {"content-length": str(len(body)), **(headers or {})}
        self._head(status, {"content-type": "application/json", "connection": "close", **length})
        self._handler.wfile.write(body)

    def begin_stream(self) -> None:
        """Send the head of a stream of events, which ends with the connection."""
        self._head(200, {"content-type": "text/event-stream", "connection": "close"})

    def begin_answer(self, length: int) -> None:
        """Send the head of a JSON answer of so many bytes."""
        self._head(200, {"content-type": "application/json", "content-length": str(length)})

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def event(self, value: Any) -> None:
        """Send an event with ``value`` as its JSON, named by its ``type`` where it has one."""
        data = value if isinstance(value, str) else json.dumps(value)
        name = f"event: {value['type']}\n" if isinstance(value, dict) and "type" in value else ""
        self._handler.wfile.write(f"{name}data: {data}\n\n".encode())
        self._handler.wfile.flush()

    def text(self, content: str, **choice: Any) -> None:
        """Send a chat chunk with ``content``."""
        delta = {"content": content} if content else {}
        self.event(chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None, **choice}]))

    def usage(self, prompt: int, completion: int) -> None:
        """Send the chunk with the usage."""
        self.event(chunk(choices=[], usage=usage(prompt, completion)))

    def wait_until_left(self, seconds: float = LEAVE_SECONDS) -> float | None:
        """Wait until the caller closes its connection; return when, or ``None`` when it does not within ``seconds``."""
        connection = self._handler.connection
        ready, _, _ = select.select([connection], [], [], seconds)
        try:
            if ready and not connection.recv(1, socket.MSG_PEEK):
                self.left_at = time.time()
        except OSError:
            self.left_at = time.time()
        return self.left_at

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()
        self._handler.wfile.flush()


Script = Callable[[Turn], None]


class Stage:
    """The upstream. ``play`` sets the script of the next calls; ``turns`` are those that came since."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._script: Script = lambda turn: turn.answer({"choices": []})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def play(self, script: Script) -> None:
        """Answer the next calls by ``script``."""
        self.turns, self._script = [], script

    def turn(self, number: int = 0, seconds: float = 10) -> Turn:
        """Return a call by its number, once it has come."""
        deadline = time.monotonic() + seconds
        while len(self.turns) <= number:
            assert time.monotonic() < deadline, f"only {len(self.turns)} calls came"
            time.sleep(0.01)
        return self.turns[number]

    def ended(self, number: int = 0) -> Turn:
        """Return a call by its number, once its script is at its end."""
        turn = self.turn(number)
        assert turn.done.wait(LEAVE_SECONDS), "the script did not end"
        return turn

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                turn = Turn(self, self.rfile.read(int(self.headers.get("content-length", 0))))
                stage.turns.append(turn)
                try:
                    stage._script(turn)
                except OSError:
                    turn.left_at = turn.left_at or time.time()
                finally:
                    turn.done.set()
                    self.close_connection = True

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                pass

        return Handler


def chunk(**fields: Any) -> dict[str, Any]:
    """Return a chunk of a chat stream."""
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini", **fields}


def completion(text: str, prompt: int, output: int) -> dict[str, Any]:
    """Return a whole chat completion."""
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {**chunk(choices=choices, usage=usage(prompt, output)), "object": "chat.completion"}


def usage(prompt: int, output: int) -> dict[str, Any]:
    """Return the usage of a chat call."""
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
