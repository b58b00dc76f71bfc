"""What the tests of files, batches and fine-tuning jobs share."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from openai import OpenAI
from openai.types import Batch, FileObject

from tests.support.openapi import assert_valid

T = TypeVar("T")
MODEL = "gpt-4o-mini"
CHAT = "/v1/chat/completions"
OVER = ("completed", "failed", "expired", "cancelled")


def until(ask: Callable[[], T], done: Callable[[T], Any], seconds: float = 20) -> T:
    """Asks until the answer is `done`; fails when that takes too long."""
    deadline = time.monotonic() + seconds
    while not done(answer := ask()):
        assert time.monotonic() < deadline, f"still {answer}"
        time.sleep(0.02)
    return answer


def chat_line(custom_id: str, text: str = "Count from 1 to 3.", **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": CHAT,
        "body": {"model": MODEL, "messages": messages, **body},
    }


def jsonl(rows: Iterable[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def upload(
    client: OpenAI, data: bytes, purpose: Any = "batch", name: str = "input.jsonl", **options: Any
) -> FileObject:
    return client.files.create(file=(name, data), purpose=purpose, **options)


def submit(client: OpenAI, data: bytes, switches: str = "duration=0.2", endpoint: Any = CHAT, **options: Any) -> Batch:
    """A new batch over `data`, valid as it came over the wire."""
    file = upload(client, data)
    options = {"metadata": {"sandbox": switches}, **options}
    raw = client.batches.with_raw_response.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", **options
    )
    assert_valid_batch(raw.http_response.json())
    return raw.parse()


def finished(client: OpenAI, batch: Batch) -> Batch:
    return until(lambda: client.batches.retrieve(batch.id), lambda answer: answer.status in OVER)


def chat_example(number: int) -> dict[str, Any]:
    """A line of a training file."""
    return {
        "messages": [
            {"role": "system", "content": "You answer briefly."},
            {"role": "user", "content": f"What is {number} + {number}?"},
            {"role": "assistant", "content": str(number * 2)},
        ]
    }


def rows(client: OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    """The lines of a file, decoded."""
    assert file_id is not None
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def assert_valid_batch(shape: dict[str, Any]) -> None:
    """OpenAI's examples of a batch have nulls where its schema has none."""
    assert_valid("Batch", {key: value for key, value in shape.items() if value is not None})
