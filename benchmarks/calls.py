"""The plain calls: what is sent where, and how a whole answer is distinguished from a changed one."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import responses, uploads, vendors
from benchmarks.endpoint import CHAT, CLAUDE, GEMINI, MESSAGES, MODEL, OTHERS, RESPONSES, TRANSCRIPTIONS, Endpoint
from benchmarks.errors import VoidRun
from benchmarks.payloads import CHAT_TEXT, MEGABYTE, chat_body

PROBE_SECONDS = 60


@dataclass(frozen=True)
class Call:
    """A path, the body for a model's name, where the answer has its text, the body's type, and the upstream's model."""

    path: str
    body: Callable[[str], bytes]
    text: Callable[[Any], str]
    content_type: str = "application/json"
    model: str = MODEL


PLAIN_CHAT = Call(CHAT, chat_body, lambda answer: answer["choices"][0]["message"]["content"])
VISION = Call(CHAT, partial(chat_body, image_bytes=MEGABYTE), PLAIN_CHAT.text)
PLAIN_RESPONSE = Call(RESPONSES, responses.body, lambda answer: answer["output"][0]["content"][0]["text"])
UPLOAD = Call(TRANSCRIPTIONS, uploads.body, lambda answer: answer["text"], uploads.CONTENT_TYPE, OTHERS[TRANSCRIPTIONS])
CHAT_TO_ANTHROPIC = Call(CHAT, chat_body, PLAIN_CHAT.text, model=CLAUDE)
CHAT_TO_GEMINI = Call(CHAT, chat_body, PLAIN_CHAT.text, model=GEMINI)
MESSAGE_TO_OPENAI = Call(MESSAGES, vendors.message_body, lambda answer: answer["content"][0]["text"])


def probe(call: Call, endpoint: Endpoint) -> None:
    """Make one call; raise VoidRun unless the upstream's answer came back whole."""
    headers = {"content-type": call.content_type, **endpoint.headers}
    request = urllib.request.Request(endpoint.url, call.body(endpoint.model), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PROBE_SECONDS) as answer:
            text = call.text(json.load(answer))
    except urllib.error.HTTPError as error:
        raise VoidRun(f"{endpoint.url} answered {error.code}: {error.read(500)!r}") from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise VoidRun(f"{endpoint.url} gave no whole answer: {type(error).__name__}: {error}") from None
    if text != CHAT_TEXT:
        raise VoidRun(f"{endpoint.url} changed the answer to {text!r}")
