"""An upstream that answers as Anthropic and Google document it: each path is given its answer, plain or as a stream.

The examples are in the words of the vendors' references (platform.claude.com/docs, ai.google.dev/api), in our own text.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

KEY = "sk-vendor-0123456789"
CLAUDE, GEMINI = "claude-sonnet-4-5", "gemini-2.5-flash"
MESSAGE: dict[str, Any] = {
    "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "Hello from Claude."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 100,
        "output_tokens": 20,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
    },
}
CONTENT: dict[str, Any] = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "Hello from Gemini."}]}, "finishReason": "STOP", "index": 0}
    ],
    "usageMetadata": {
        "promptTokenCount": 100,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30,
        "cachedContentTokenCount": 40,
        "totalTokenCount": 150,
    },
    "modelVersion": "gemini-2.5-flash",
    "responseId": "resp-1",
}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
EXHAUSTED = {
    "error": {
        "code": 429,
        "message": "Resource has been exhausted (e.g. check quota per minute).",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}],
    }
}


def message_events(*texts: str, stop: str = "end_turn") -> list[dict[str, Any]]:
    """The events of a message that says ``texts``."""
    start = {**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 100, "output_tokens": 1}}
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": 20},
        },
        {"type": "message_stop"},
    ]


def content_events(*texts: str) -> list[dict[str, Any]]:
    """The events of an answer of Gemini's that says ``texts``."""
    head = {name: CONTENT[name] for name in ("modelVersion", "responseId")}
    parts = [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}], **head}
        for text in texts
    ]
    parts[-1]["candidates"][0]["finishReason"] = "STOP"
    return [*parts[:-1], {**parts[-1], "usageMetadata": CONTENT["usageMetadata"]}]


def sse(events: list[dict[str, Any]]) -> bytes:
    """Events on the wire: named where they have a type, as Anthropic has it; with CRLF where not, as Google has it."""
    found = b""
    for event in events:
        data = json.dumps(event).encode()
        if "type" in event:
            found += b"event: " + event["type"].encode() + b"\ndata: " + data + b"\n\n"
        else:
            found += b"data: " + data + b"\r\n\r\n"
    return found


class VendorUpstream(ThreadingHTTPServer):
    """Answers each path (without its query) as it is set up, the answers of a list one after the other; keeps what it
    was asked.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: dict[str, list[tuple[int, str, bytes]]] = {}
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()

    def clear(self) -> None:
        """Forget what was asked, and every answer."""
        self.asked.clear()
        self.answers.clear()

    def answer(self, path: str, *answers: Any, status: int = 200) -> None:
        """Answer ``path`` with JSON (a dict) or a stream (a list of events); several answers come in turn."""
        self.answers[path] = [
            (status, "text/event-stream", sse(each))
            if isinstance(each, list)
            else (status, "application/json", json.dumps(each).encode())
            for each in answers
        ]

    @property
    def body(self) -> Any:
        """The body of the last request."""
        return self.asked[-1][3]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: VendorUpstream

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, json.loads(body) if body else None))
        answers = self.server.answers.get(urlsplit(self.path).path)
        status, media_type, content = (404, "text/plain", b"unknown") if not answers else answers[0]
        if answers and len(answers) > 1:
            answers.pop(0)
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(content)))
        self.send_header("request-id", "req_of_the_vendor")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = respond

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
