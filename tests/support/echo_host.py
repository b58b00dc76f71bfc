"""A hostile upstream: it says back what it was sent, secrets included, in every place and every spelling."""

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any
from urllib.parse import quote

from aiohttp import WSMsgType, web

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "escaped": lambda text: "".join(f"\\u{ord(sign):04x}" for sign in text),
    "shouted": lambda text: "".join(f"\\u{ord(sign):04X}" for sign in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "percent": lambda text: quote(text, safe=""),
}
PLAIN = "plain"
ECHOED = ("authorization", "x-canary-secret")
HEADERS = (
    "cache-control",
    "content-disposition",
    "openai-version",
    "openai-model",
    "openai-processing-ms",
    "x-request-id",
    "x-ratelimit-reset-requests",
    "x-should-retry",
)
USAGE = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}


def said(request: web.Request, spelling: str) -> str:
    """Return the secrets of a request as text of a JSON string, in a spelling."""
    spell = SPELLINGS[spelling]
    return " ".join(spell(request.headers.get(name, "none")) for name in ECHOED)


def headers_of(request: web.Request, spelling: str) -> dict[str, str]:
    return dict.fromkeys(HEADERS, said(request, spelling))


def chat(text: str) -> str:
    """Return a chat's answer as JSON. ``text`` goes in as it is: its escapes are the answer's."""
    choice = f'{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"{text}"}}}}'
    head = head_of(text, "chat.completion")
    return f'{head},"choices":[{choice}],"usage":{json.dumps(USAGE)}}}'


def head_of(text: str, kind: str) -> str:
    """Return the beginning of an answer with ``text`` in each of its fields."""
    names = ("id", "model", "service_tier", "system_fingerprint", "provider")
    return f'{{"object":"{kind}","created":1,' + ",".join(f'"{name}":"{text}"' for name in names)


def chunk(text: str, usage: str = "null", reason: str = "null") -> bytes:
    delta = f'{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":{reason}}}'
    head = head_of(text, "chat.completion.chunk")
    return f'data: {head},"choices":[{delta}],"usage":{usage}}}\n\n'.encode()


async def answer(request: web.Request) -> web.StreamResponse:
    """Answer a call as its model asks: ``SPELLING`` or ``SPELLING-STATUS``, an event at a time for a stream."""
    if request.headers.get("upgrade", "").lower() == "websocket":
        return await socket(request)
    body = await request.read()
    try:
        asked: dict[str, Any] = json.loads(body)
    except ValueError:
        asked = {}
    spelling, _, status = str(asked.get("model", "plain")).partition("-")
    text, headers = said(request, spelling), headers_of(request, spelling)
    if status:
        error = f'{{"error":{{"message":"refused: {text}","type":"t","code":"{text}","param":"{text}"}}}}'
        return web.Response(status=int(status), body=error.encode(), headers=headers, content_type="application/json")
    if request.path.endswith("speech"):
        return await raw(request, text)
    if asked.get("stream"):
        return await stream(request, text, headers)
    return web.Response(body=chat(text).encode(), headers=headers, content_type="application/json")


async def stream(request: web.Request, text: str, headers: dict[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, "content-type": "text/event-stream"})
    await response.prepare(request)
    events = chunk(text) + chunk("", json.dumps(USAGE), '"stop"') + b"data: [DONE]\n\n"
    for start in range(0, len(events), 7):
        await response.write(events[start : start + 7])
    await response.write_eof()
    return response


async def raw(request: web.Request, text: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "audio/mpeg"})
    await response.prepare(request)
    for start in range(0, len(text), 5):
        await response.write(text[start : start + 5].encode())
        await asyncio.sleep(0.001)
    await response.write_eof()
    return response


async def socket(request: web.Request) -> web.StreamResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    for spelling in SPELLINGS:
        text = said(request, spelling)
        await response.send_str(f'{{"type":"session.created","event_id":"e","session":{{"instructions":"{text}"}}}}')
        await response.send_bytes(f'{{"type":"error","error":{{"message":"{text}"}}}}'.encode())
    async for message in response:
        if message.type is WSMsgType.TEXT:
            await response.send_str(f'{{"type":"rate_limits.updated","note":"{said(request, PLAIN)}"}}')
    return response


@contextlib.contextmanager
def echo_host() -> Iterator[str]:
    """Yield the base URL of a running host, with ``/v1``."""
    loop, found = asyncio.new_event_loop(), list[str]()

    async def run() -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.append(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")

    loop.run_until_complete(run())
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield found[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
