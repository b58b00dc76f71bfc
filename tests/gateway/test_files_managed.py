"""Files that Gatehouse keeps itself, for batches that it runs: named, checked, in ranges, for as long as they were wanted."""

import httpx
import pytest
from openai import OpenAI

from tests.gateway.server import Gateway
from tests.gateway.test_files import jsonl, line

HEADERS = {"x-tfy-provider-name": "openai-main", "x-gatehouse-batch": "managed"}
CONTENT = jsonl(line(1), line(2))


@pytest.fixture
def managed(gateway: Gateway, token: str) -> OpenAI:
    """The SDK of somebody who lets Gatehouse run batches."""
    return gateway.sdk(token, default_headers=HEADERS)


@pytest.mark.parametrize(
    ("wanted", "status", "content", "told"),
    [
        ("bytes=0-0", 206, CONTENT[:1], f"bytes 0-0/{len(CONTENT)}"),
        ("bytes=-3", 206, CONTENT[-3:], f"bytes {len(CONTENT) - 3}-{len(CONTENT) - 1}/{len(CONTENT)}"),
        ("bytes=99999999-", 416, None, f"bytes */{len(CONTENT)}"),
        (f"bytes={len(CONTENT)}-", 416, None, f"bytes */{len(CONTENT)}"),
        ("bytes=-0", 416, None, f"bytes */{len(CONTENT)}"),
        ("bytes=5-2", 200, CONTENT, None),
        (f"bytes={'9' * 5000}-", 200, CONTENT, None),
        ("lines=1-2", 200, CONTENT, None),
    ],
)
def test_ranges_of_a_file(
    gateway: Gateway, managed: OpenAI, wanted: str, status: int, content: bytes | None, told: str | None
) -> None:
    made = managed.files.create(file=("in.jsonl", CONTENT), purpose="batch")
    headers = {"authorization": f"Bearer {managed.api_key}", "range": wanted}
    answer = httpx.get(f"{gateway.origin}/v1/files/{made.id}/content", headers=headers)
    assert (answer.status_code, answer.headers.get("content-range")) == (status, told)
    if content is None:
        assert answer.json()["error"]["code"] == "range_not_satisfiable"
    else:
        assert answer.content == content
