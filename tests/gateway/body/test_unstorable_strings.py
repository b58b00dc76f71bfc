"""Strings that PostgreSQL does not take, from a client or an upstream: they stop no one's records."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call.errors import Unavailable
from gateway.models import NewObject, OwnedObject, StorableJSON
from gateway.objects.store import Objects
from tests.support.calls import assert_ours
from tests.support.fixtures import CHAT, USER, seed
from tests.support.installation import Gateway, Installation, migrated_postgres_url
from tests.support.sandbox_process import SandboxProcess

ODD = {"nul": "x\x00y", "half": "x\ud800y"}
LINE = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi."}]},
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, running_upstream: SandboxProcess) -> Iterator[tuple[Gateway, str]]:
    """A server on PostgreSQL, and a token."""
    with Installation(
        tmp_path_factory.mktemp("odd") / "data", env={"DATABASE_URL": migrated_postgres_url()}
    ) as installation:
        seed(installation, running_upstream.url)
        gateway = installation.gateway()
        yield gateway, gateway.token("ada", user=USER)


def posted(odd: tuple[Gateway, str], path: str, body: Any, **headers: str) -> httpx.Response:
    gateway, token = odd
    return gateway.post(token, path, content=json.dumps(body).encode(), headers=headers)


def uploaded(odd: tuple[Gateway, str]) -> str:
    gateway, token = odd
    files = {"file": ("batch.jsonl", json.dumps(LINE).encode() + b"\n")}
    headers = {"authorization": f"Bearer {token}"}
    answer = gateway.http.post(f"{gateway.origin}/v1/files", headers=headers, files=files, data={"purpose": "batch"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize("way", ["provider", "managed"])
@pytest.mark.parametrize("kind", ODD)
def test_a_batchs_metadata(odd: tuple[Gateway, str], kind: str, way: str) -> None:
    body = {"endpoint": LINE["url"], "completion_window": "24h", "metadata": {"a": ODD[kind]}}
    headers = {"x-gatehouse-batch": "managed"} if way == "managed" else {}
    gateway, token = odd
    if way == "managed":
        files = {"file": ("batch.jsonl", json.dumps(LINE).encode() + b"\n")}
        sent = {"authorization": f"Bearer {token}", **headers}
        made = gateway.http.post(f"{gateway.origin}/v1/files", headers=sent, files=files, data={"purpose": "batch"})
        body["input_file_id"] = made.json()["id"]
    else:
        body["input_file_id"] = uploaded(odd)
    made = posted(odd, "/v1/batches", body, **headers)
    assert made.status_code < 500, made.text
    if made.status_code == 200:
        assert gateway.get(token, f"/v1/batches/{made.json()['id']}").status_code == 200
    assert uploaded(odd), "and others are recorded as before"


@pytest.mark.parametrize("kind", ODD)
def test_our_own_metadata_and_ids(odd: tuple[Gateway, str], kind: str) -> None:
    text = ODD[kind]
    body = {"model": CHAT, "input": "Hi.", "metadata": {"a": text}, "background": True}
    assert posted(odd, "/v1/responses", body, **{"x-tfy-metadata": json.dumps({"a": text})}).status_code < 500
    unknown = {"model": CHAT, "input": "Hi.", "previous_response_id": f"resp_{text}"}
    assert posted(odd, "/v1/responses", unknown).status_code in (400, 404)
    assert posted(odd, "/v1/responses", {"model": CHAT, "input": "Hi."}).status_code == 200


@pytest.mark.parametrize("query", ["after=%00", "purpose=%00", "before=a%00b"])
def test_a_query(odd: tuple[Gateway, str], query: str) -> None:
    gateway, token = odd
    assert_ours(gateway.get(token, f"/v1/files?{query}"), 400, "invalid_query")


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_stored_keeps_nothing_else_out() -> None:
    def entry(name: str, data: Any) -> NewObject:
        return NewObject(name, "main", "batch", "user:1", "ada", data={"body": data})

    async def record() -> list[BaseException | None]:
        objects = Objects()
        groups = [[entry("batch_1", 1)], [entry("batch_2", object())], [entry("batch_3", 3)]]
        try:
            return await asyncio.gather(*map(objects.record, groups), return_exceptions=True)
        finally:
            await asyncio.to_thread(objects.close)

    first, refused, last = asyncio.run(record())
    assert (first, last) == (None, None)
    assert isinstance(refused, Unavailable)
    assert set(OwnedObject.objects.values_list("object_id", flat=True)) == {"batch_1", "batch_3"}


@given(st.recursive(st.text(max_size=8) | st.text('\x00\ud800\udc00\\u0d8aéa"', max_size=8), st.lists, max_leaves=6))
def test_stored_json_keeps_every_other_character(value: Any) -> None:
    def cleaned(node: Any) -> Any:
        if isinstance(node, str):
            whole = node.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            return whole.replace("\x00", "")
        return [cleaned(entry) for entry in node]

    stored = json.loads(StorableJSON().encode(value))
    assert stored == cleaned(value)
    json.dumps(stored, ensure_ascii=False).encode()
