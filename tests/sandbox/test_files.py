"""Files through the SDK, each answer valid by OpenAI's description."""

import io
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIConnectionError, AuthenticationError, BadRequestError, NotFoundError, OpenAI

from tests.support.openapi import assert_valid
from tests.support.sandbox_jobs import jsonl, upload
from tests.support.sandbox_process import KEY, SandboxProcess

DAY = 86_400


def test_the_life_of_a_file(client: OpenAI, sandbox: SandboxProcess, tmp_path: Path) -> None:
    path = tmp_path / "mydata.jsonl"
    path.write_bytes(jsonl([{"a": 1}, {"b": 2}]))

    created = client.files.with_raw_response.create(file=path, purpose="fine-tune")
    assert_valid("OpenAIFile", created.http_response.json())
    file = created.parse()
    assert (file.filename, file.bytes, file.purpose, file.status) == ("mydata.jsonl", 18, "fine-tune", "processed")
    assert file.expires_at is None

    assert_valid("OpenAIFile", sandbox.get(f"/files/{file.id}").json())
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).read() == path.read_bytes()

    deleted = client.files.with_raw_response.delete(file.id)
    assert_valid("DeleteFileResponse", deleted.http_response.json())
    assert deleted.parse().deleted
    for gone in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(NotFoundError, match=f"No such File object: {file.id}") as caught:
            gone(file.id)
        assert (caught.value.param, caught.value.code, caught.value.type) == ("id", None, "invalid_request_error")


@pytest.mark.parametrize("purpose", ["fine-tune", "assistants", "batch", "user_data", "vision", "evals"])
def test_every_purpose_is_taken(client: OpenAI, purpose: Any) -> None:
    assert upload(client, b"{}\n", purpose).purpose == purpose


@pytest.mark.parametrize(
    ("name", "data", "purpose", "message"),
    [
        ("a.jsonl", b"{}", "homework", "'homework' is not one of"),
        ("a.jsonl", b"{}", "batch_output", "'batch_output' is not one of"),
        ("a.txt", b"{}", "batch", "Invalid file format for Batch API. Must be .jsonl"),
        ("upload", b"{}", "fine-tune", "Invalid file format for Fine-Tuning API. Must be .jsonl"),
        ("a.jsonl", b"", "batch", "File is empty"),
    ],
)
def test_bad_uploads_are_refused(client: OpenAI, name: str, data: bytes, purpose: Any, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        upload(client, data, purpose, name)


def test_a_form_needs_a_file_and_a_purpose(sandbox: SandboxProcess) -> None:
    for form, missing in (({"purpose": "batch"}, "file"), ({}, "file")):
        answer = sandbox.http.post(f"{sandbox.url}/files", data=form, files={"other": ("x", b"y")})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, missing)
    answer = sandbox.http.post(f"{sandbox.url}/files", files={"file": ("x.jsonl", b"{}")})
    assert answer.json()["error"]["param"] == "purpose"


class TestExpiry:
    def test_batch_inputs_expire_after_thirty_days(self, client: OpenAI) -> None:
        file = upload(client, b"{}")
        assert file.expires_at == file.created_at + 30 * DAY

    def test_an_expired_file_is_gone(self) -> None:
        with SandboxProcess() as sandbox, sandbox.client() as client:
            short = upload(client, b"x", "user_data", "a.txt", expires_after={"anchor": "created_at", "seconds": 3600})
            long = upload(client, b"x", "user_data", "b.txt")
            assert short.expires_at == short.created_at + 3600
            assert {file.id for file in client.files.list()} == {short.id, long.id}

            sandbox.advance(3601)

            assert [file.id for file in client.files.list()] == [long.id]
            with pytest.raises(NotFoundError):
                client.files.content(short.id)

    @pytest.mark.parametrize("seconds", [3599, 30 * DAY + 1])
    def test_it_has_limits(self, client: OpenAI, seconds: int) -> None:
        with pytest.raises(BadRequestError) as caught:
            upload(client, b"x", "user_data", expires_after={"anchor": "created_at", "seconds": seconds})
        assert caught.value.param == "expires_after.seconds"


def test_lists_page_newest_first_by_purpose() -> None:
    with SandboxProcess() as sandbox, sandbox.client() as client:
        assert sandbox.get("/files").json()["data"] == []
        ids = [upload(client, b"x", "user_data", f"{number}.txt").id for number in range(5)]
        other = upload(client, b"x", "vision", "p.png").id

        page = client.files.list(limit=2, purpose="user_data")
        assert [file.id for file in page.data] == [ids[4], ids[3]]
        assert page.has_more
        assert [file.id for file in page] == ids[::-1]
        assert [file.id for file in client.files.list(order="asc", after=ids[1])] == [*ids[2:], other]
        assert [file.id for file in client.files.list(purpose="vision")] == [other]
        assert_valid("ListFilesResponse", sandbox.get("/files", limit=3).json())
        with pytest.raises(NotFoundError):
            client.files.list(after="file-none")
        with pytest.raises(BadRequestError):
            client.files.list(limit=0)


def test_a_key_sees_its_own_files_only() -> None:
    with SandboxProcess("--key", KEY, "--key", "sk-other") as sandbox, sandbox.client() as client:
        other = sandbox.client(api_key="sk-other")
        file = upload(client, b"{}")

        assert list(other.files.list()) == []
        for refused in (other.files.retrieve, other.files.content, other.files.delete):
            with pytest.raises(NotFoundError):
                refused(file.id)
        assert client.files.retrieve(file.id).id == file.id
        with pytest.raises(AuthenticationError):
            sandbox.client(api_key="sk-nobody").files.list()


DATA = bytes(range(256)) * 2000  # half a megabyte, on disk


@pytest.fixture(scope="module")
def address(running_sandbox: SandboxProcess) -> str:
    with running_sandbox.client() as client:
        file = upload(client, DATA, "user_data", "größe.bin")
    return f"{running_sandbox.url}/files/{file.id}/content"


class TestContent:
    def test_it_streams(self, client: OpenAI, address: str) -> None:
        with client.files.with_streaming_response.content(address.split("/")[-2]) as answer:
            pieces = list(answer.iter_bytes())
        assert len(pieces) > 1
        assert b"".join(pieces) == DATA
        assert answer.headers["content-length"] == str(len(DATA))
        assert answer.headers["content-disposition"] == 'attachment; filename="größe.bin"'

    @pytest.mark.parametrize(
        ("wanted", "part", "said"),
        [
            ("bytes=0-9", slice(0, 10), "bytes 0-9/512000"),
            ("bytes=511990-", slice(511990, None), "bytes 511990-511999/512000"),
            ("bytes=-5", slice(-5, None), "bytes 511995-511999/512000"),
            ("bytes=70000-999999999", slice(70000, None), "bytes 70000-511999/512000"),
        ],
    )
    def test_ranges(self, sandbox: SandboxProcess, address: str, wanted: str, part: slice, said: str) -> None:
        answer = sandbox.http.get(address, headers={"range": wanted})

        assert answer.status_code == 206
        assert answer.content == DATA[part]
        assert answer.headers["content-range"] == said

    def test_a_range_beyond_the_end(self, sandbox: SandboxProcess, address: str) -> None:
        answer = sandbox.http.get(address, headers={"range": "bytes=512000-"})
        assert answer.status_code == 416
        assert answer.headers["content-range"] == "bytes */512000"

    @pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=1-2,5-6", "bytes=-"])
    def test_other_ranges_are_ignored(self, sandbox: SandboxProcess, address: str, wanted: str) -> None:
        answer = sandbox.http.get(address, headers={"range": wanted})
        assert answer.status_code == 200
        assert len(answer.content) == len(DATA)


async def test_the_async_sdk_takes_a_large_file(running_sandbox: SandboxProcess) -> None:
    data = b"0123456789abcdef" * 300_000
    async with running_sandbox.async_client() as client:
        file = await client.files.create(file=("big.bin", io.BytesIO(data)), purpose="user_data")
        assert file.bytes == len(data)
        assert (await client.files.content(file.id)).content == data
        await client.files.delete(file.id)


def test_an_upload_that_breaks_off_leaves_no_file() -> None:
    with SandboxProcess() as sandbox, sandbox.client() as client:
        start = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\nhalf a'
        headers = {"content-type": "multipart/form-data; boundary=b"}
        answer = sandbox.http.post(f"{sandbox.url}/files", content=start, headers=headers)
        assert answer.status_code == 400

        def broken() -> Any:
            yield start
            raise APIConnectionError(request=httpx.Request("POST", sandbox.url))

        with pytest.raises(APIConnectionError):
            sandbox.http.post(f"{sandbox.url}/files", content=broken(), headers=headers)
        assert list(client.files.list()) == []
