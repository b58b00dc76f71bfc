"""Files that Gatehouse keeps itself, for batches that it runs: named, checked, in ranges, for as long as they were
wanted.
"""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.gateway.endpoints.test_files import jsonl, line
from tests.support.installation import Gateway

HEADERS = {"x-tfy-provider-name": "openai-main", "x-gatehouse-batch": "managed"}
CONTENT = jsonl(line(1), line(2))


@pytest.fixture
def managed(gateway: Gateway, token: str) -> OpenAI:
    """The SDK of someone who lets Gatehouse run batches."""
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


def test_a_file_keeps_its_name_and_its_time(gateway: Gateway, managed: OpenAI) -> None:
    made = managed.files.create(
        file=('Fragen an "alle" é.jsonl', CONTENT),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert made.expires_at == made.created_at + 3600
    known = managed.files.retrieve(made.id)
    assert (known.filename, known.expires_at) == (made.filename, made.expires_at)
    assert made.filename.replace("%22", '"') == 'Fragen an "alle" é.jsonl'
    (row,) = gateway.installation.do("owned", object_id=made.id)
    assert datetime.fromisoformat(row["expires_at"]) == datetime.fromtimestamp(made.expires_at, UTC)
    assert managed.files.create(file=("in.jsonl", CONTENT), purpose="batch").expires_at is None


@pytest.mark.parametrize(
    ("expiry", "param"),
    [
        ({"anchor": "created_at", "seconds": 1}, "expires_after.seconds"),
        ({"anchor": "created_at", "seconds": 3599}, "expires_after.seconds"),
        ({"anchor": "created_at", "seconds": 2592001}, "expires_after.seconds"),
        ({"anchor": "created_at", "seconds": "soon"}, "expires_after.seconds"),
        ({"anchor": "created_at"}, "expires_after.seconds"),
        ({"anchor": "last_active_at", "seconds": 3600}, "expires_after.anchor"),
        ({"seconds": 3600}, "expires_after.anchor"),
        ("tomorrow", "expires_after"),
    ],
)
def test_an_expiry_that_the_vendor_would_refuse(managed: OpenAI, expiry: Any, param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        managed.files.create(file=("in.jsonl", CONTENT), purpose="batch", expires_after=expiry)
    assert caught.value.param == param


def test_an_expired_file_is_gone(gateway: Gateway, managed: OpenAI) -> None:
    made = managed.files.create(
        file=("in.jsonl", CONTENT), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert managed.files.content(made.id).read() == CONTENT
    path = gateway.installation.data / "files" / made.id[7:9] / made.id
    assert path.exists()
    assert gateway.installation.do("age_objects", 3601, object_id=made.id) == 1
    for act in (
        lambda: managed.files.retrieve(made.id),
        lambda: managed.files.content(made.id),
        lambda: managed.files.delete(made.id),
        lambda: managed.batches.create(input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h"),
    ):
        with pytest.raises(NotFoundError):
            act()
    assert made.id not in [each.id for each in managed.files.list()]
    gateway.installation.do("manage", "prune_objects")
    assert not path.exists()
    assert gateway.installation.do("owned", object_id=made.id) == []
    with pytest.raises(NotFoundError):
        managed.files.retrieve(made.id)


@pytest.mark.parametrize("field", ["background", "store"])
def test_a_line_that_gatehouse_cannot_run_is_refused_at_once(managed: OpenAI, field: str) -> None:
    bad = line(2)
    bad["body"] = {**bad["body"], field: True}  # type: ignore[dict-item]
    with pytest.raises(BadRequestError, match=f"Line 2 .*'{field}'"):
        managed.files.create(file=("in.jsonl", jsonl(line(1), bad)), purpose="batch")
    bad["body"] = {**bad["body"], field: False}  # type: ignore[dict-item]
    assert managed.files.create(file=("in.jsonl", jsonl(line(1), bad)), purpose="batch").id


@pytest.mark.parametrize("kind", ["managed", "native"])
def test_an_upload_without_a_file_says_so(gateway: Gateway, token: str, kind: str) -> None:
    headers = {"authorization": f"Bearer {token}", "x-tfy-provider-name": "openai-main", "x-gatehouse-batch": kind}
    answer = httpx.post(f"{gateway.origin}/v1/files", headers=headers, files={"purpose": (None, "batch")})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")
    assert "'file'" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"completion_window": "1h"}, "completion_window"),
        ({"completion_window": None}, "completion_window"),
        ({"metadata": {"a": 5}}, "metadata"),
        ({"metadata": "a"}, "metadata"),
        ({"metadata": {f"k{number}": "" for number in range(17)}}, "metadata"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"metadata": {"k" * 65: "x"}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after.seconds"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": True}}, "output_expires_after.seconds"),
        ({"output_expires_after": {"anchor": "now", "seconds": 3600}}, "output_expires_after.anchor"),
        ({"output_expires_after": 3600}, "output_expires_after"),
    ],
)
def test_fields_of_a_batch_that_the_vendor_would_refuse(managed: OpenAI, fields: dict[str, Any], param: str) -> None:
    made = managed.files.create(file=("in.jsonl", CONTENT), purpose="batch")
    asked = {"input_file_id": made.id, "endpoint": "/v1/chat/completions", "completion_window": "24h", **fields}
    with pytest.raises(BadRequestError) as caught:
        managed.post("/batches", body=asked, cast_to=object)
    assert caught.value.param == param


def test_a_batch_takes_as_much_metadata_as_the_vendors_own(managed: OpenAI) -> None:
    made = managed.files.create(file=("in.jsonl", CONTENT), purpose="batch")
    pairs = {f"{number:064}": "x" * 512 for number in range(16)}
    batch = managed.batches.create(
        input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h", metadata=pairs
    )
    assert batch.metadata == pairs
