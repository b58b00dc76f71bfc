"""Files and uploads through the customer's SDK: streamed, checked, owned, listed."""

import io
import json

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

from tests.support.fixtures import ACCOUNT
from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

HEADERS = {"x-tfy-provider-name": "openai-main"}
LINES = 3

FILE_OF_OTHERS = {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-nobodys"}}]}


def line(number: int, **changes: object) -> dict[str, object]:
    """One request of a batch."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hi in French."}]}
    return {"custom_id": f"req-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body, **changes}


def jsonl(*lines: object) -> bytes:
    return b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines)


@pytest.fixture
def files(gateway: Gateway, token: str) -> OpenAI:
    """The SDK as the Files and Batch examples set it up."""
    return gateway.sdk(token, default_headers=HEADERS)


@pytest.fixture
def other(gateway: Gateway) -> OpenAI:
    """Someone else's SDK."""
    made = gateway.token("files-other", user="files-other@example.com")
    return gateway.sdk(made, default_headers=HEADERS)


def test_a_file_lives_from_upload_to_deletion(files: OpenAI) -> None:
    content = jsonl(*(line(number) for number in range(LINES)))
    made = files.files.create(file=("in.jsonl", content), purpose="batch")
    assert (made.purpose, made.bytes, made.filename) == ("batch", len(content), "in.jsonl")
    assert files.files.retrieve(made.id).id == made.id
    assert files.files.content(made.id).read() == content
    assert made.id in [each.id for each in files.files.list()]
    assert files.files.delete(made.id).deleted
    assert made.id not in [each.id for each in files.files.list()]
    with pytest.raises(NotFoundError):
        files.files.retrieve(made.id)


def test_the_account_comes_from_the_record_of_the_id(gateway: Gateway, token: str, files: OpenAI) -> None:
    made = files.files.create(file=("a.txt", b"hello"), purpose="user_data")
    bare = gateway.sdk(token)
    assert bare.files.retrieve(made.id).id == made.id
    assert bare.files.content(made.id).read() == b"hello"


@pytest.mark.parametrize("batch", ["native", "managed"])
def test_the_head_of_a_content(gateway: Gateway, token: str, files: OpenAI, batch: str) -> None:
    content = jsonl(line(1))
    made = files.files.create(file=("in.jsonl", content), purpose="batch", extra_headers={"x-gatehouse-batch": batch})
    headers = {"authorization": f"Bearer {token}"}
    address = f"{gateway.origin}/v1/files/{made.id}/content"
    head = gateway.http.head(address, headers=headers)
    whole = gateway.http.get(address, headers=headers)
    assert (head.status_code, head.content, whole.content) == (200, b"", content)
    assert head.headers["content-length"] == str(len(content))
    assert head.headers["content-type"] == whole.headers["content-type"]
    assert gateway.http.head(f"{gateway.origin}/v1/files/file-none/content", headers=headers).status_code == 404
    if batch == "native":
        asked = [each.headers["x-request-id"] for each in (head, whole)]
        records = gateway.installation.records(2, request_id__in=asked)
        assert [record["error_class"] for record in records] == ["", ""]


def test_without_a_header_a_file_goes_to_the_only_account(gateway: Gateway) -> None:
    token = gateway.token("one-account", [ACCOUNT], user="one-account@example.com")
    made = gateway.sdk(token).files.create(file=("a.txt", b"hello"), purpose="user_data")
    assert made.purpose == "user_data"


def test_a_range_of_the_content(gateway: Gateway, token: str, files: OpenAI) -> None:
    made = files.files.create(file=("a.txt", b"0123456789"), purpose="user_data")
    headers = {"authorization": f"Bearer {token}", "range": "bytes=2-4"}
    answer = gateway.http.get(f"{gateway.origin}/v1/files/{made.id}/content", headers=headers)
    assert (answer.status_code, answer.content) == (206, b"234")
    assert answer.headers["content-range"] == "bytes 2-4/10"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == "3"


def test_a_json_file_comes_back_byte_for_byte(files: OpenAI) -> None:
    content = b'{"a": 1}\n'
    made = files.files.create(file=("a.json", content), purpose="user_data")
    assert files.files.content(made.id).read() == content


def test_lists_page_and_filter(gateway: Gateway) -> None:
    mine = gateway.sdk(gateway.token("files-pages", user="files-pages@example.com"), default_headers=HEADERS)
    made = [mine.files.create(file=(f"{n}.txt", b"x"), purpose="user_data").id for n in range(5)]
    batch = mine.files.create(file=("b.jsonl", jsonl(line(0))), purpose="batch").id
    assert [each.id for each in mine.files.list(limit=2)] == [batch, *reversed(made)]
    first = mine.files.list(limit=2)
    assert (first.has_more, len(first.data)) == (True, 2)
    assert [each.id for each in mine.files.list(purpose="batch")] == [batch]
    assert [each.id for each in mine.files.list(order="asc", limit=100)] == [*made, batch]
    raw = mine.files.with_raw_response.list(limit=1)
    assert raw.parse().data[0].id == batch


def test_files_belong_to_the_caller_who_made_them(files: OpenAI, other: OpenAI, upstream: SandboxProcess) -> None:
    made = files.files.create(file=("a.txt", b"secret"), purpose="user_data")
    upstream.clear()
    assert made.id not in [each.id for each in other.files.list()]
    for act in (other.files.retrieve, other.files.content, other.files.delete):
        with pytest.raises(NotFoundError) as caught:
            act(made.id)
        assert caught.value.code == "not_found"
    assert upstream.requests() == []


def test_managers_list_all_when_they_ask(gateway: Gateway, files: OpenAI) -> None:
    made = files.files.create(file=("a.txt", b"x"), purpose="user_data").id
    token = gateway.token("files-manager", user="files-manager@example.com")
    manager = gateway.sdk(token, default_headers=HEADERS)
    scope = {"x-gatehouse-scope": "account"}
    refused = gateway.http.get(
        f"{gateway.origin}/v1/files", headers={"authorization": f"Bearer {token}", **HEADERS, **scope}
    )
    assert refused.status_code == 403
    gateway.installation.do("grant", "openai-main", "user:files-manager@example.com", role="manager")

    def listed() -> httpx.Response:
        return gateway.http.get(
            f"{gateway.origin}/v1/files", headers={"authorization": f"Bearer {token}", **HEADERS, **scope}
        )

    wait_until(lambda: listed().status_code == 200)
    assert made in [each["id"] for each in listed().json()["data"]]
    assert made not in [each.id for each in manager.files.list()]


@pytest.mark.parametrize(
    ("bad", "code", "where"),
    [
        (b"{nonsense", "invalid_json_line", "Line 3"),
        (line(1), "duplicate_custom_id", "Line 3"),
        (line(9, url="/v1/embeddings"), "mismatched_url", "Line 3"),
        (line(9, url="/v1/files"), "invalid_url", "Line 3"),
        (line(9, method="GET"), "invalid_method", "Line 3"),
        (line(9, custom_id=7), "invalid_line", "Line 3"),
        (line(9, body={"messages": []}), "missing_model", "Line 3"),
        (line(9, body={"model": "openai-main/gpt-4o-mini"}), "bare_model_name_required", "Line 3"),
        (line(9, body={"model": "named-model"}), "bare_model_name_required", "Line 3"),
        (line(9, body={"model": "no-such-model"}), "model_not_found", "Line 3"),
        (line(9, body={"model": "whisper-1"}), "unsupported_model_type", "Line 3"),
        (line(9, body={"model": "gpt-4o-mini", "stream": True}), "stream_not_supported", "Line 3"),
        (line(9, body={"model": "gpt-4o-mini", "messages": [FILE_OF_OTHERS]}), "not_found", "Line 3"),
    ],
)
def test_a_faulty_batch_input_is_refused_with_its_line(
    files: OpenAI, upstream: SandboxProcess, bad: object, code: str, where: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        files.files.create(file=("in.jsonl", jsonl(line(1), line(2), bad, line(4))), purpose="batch")
    assert caught.value.code == code
    assert where in caught.value.message
    assert upstream.requests() == []


@pytest.mark.parametrize(
    ("bad", "code", "named"),
    [
        (('"custom_id": "req-9"', '"custom_id": "req-8", "custom_id": "req-9"'), "duplicate_field", "'custom_id'"),
        (('"method": "POST"', '"method": "GET", "method": "POST"'), "duplicate_field", "'method'"),
        (('"url": "/v1/', '"url": "/v1/embeddings", "url": "/v1/'), "duplicate_field", "'url'"),
        (('"body": {', '"body": {"model": "gpt-9"}, "body": {'), "duplicate_field", "'body'"),
        (('"model": "', '"model": "gpt-9", "model": "'), "duplicate_field", "'model'"),
        (('"model": "', '"mod\\u0065l": "gpt-9", "model": "'), "duplicate_field", "'model'"),
        (('"model": "', '"previous_response_id": "resp_a", "previous_response_id": null, "model": "'),
         "duplicate_field", "'previous_response_id'"),
        (('"messages": [', '"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "a", '
'"file_id": null}}]}, '),
         "duplicate_field", "'file_id'"),
        (("Say hi", "Say \udcff hi"), "invalid_encoding", "UTF-8"),
        (("req-9", "req-\udcff"), "invalid_encoding", "UTF-8"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
def test_a_line_that_two_readers_would_read_differently_is_refused(
    files: OpenAI,
    upstream: SandboxProcess,
    bad: tuple[str, str],
    code: str,
    named: str,
    separators: tuple[str, str],
) -> None:
    text = json.dumps(line(9)).replace(*bad, 1)
    if separators[1] == ":":
        text = text.replace(", ", ",").replace(": ", ":")
    content = jsonl(line(1), text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadRequestError) as caught:
        files.files.create(file=("in.jsonl", content), purpose="batch")
    assert caught.value.code == code
    assert "Line 2" in caught.value.message
    assert named in caught.value.message
    assert upstream.requests() == []


def test_the_same_lines_are_nobodys_business_for_another_purpose(files: OpenAI) -> None:
    content = jsonl(line(1), line(1), b"{nonsense")
    assert files.files.create(file=("in.jsonl", content), purpose="user_data").bytes == len(content)


def test_the_purpose_may_stand_behind_the_file(gateway: Gateway, token: str) -> None:
    def send(content: bytes, *more: tuple[str, str]) -> httpx.Response:
        parts = [
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n' + content + b"\r\n",
            *(
                f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
                for name, value in more
            ),
            b"--x--\r\n",
        ]
        headers = {"authorization": f"Bearer {token}", "content-type": "multipart/form-data; boundary=x", **HEADERS}
        return gateway.http.post(f"{gateway.origin}/v1/files", content=b"".join(parts), headers=headers)

    assert send(jsonl(line(1)), ("purpose", "batch")).json()["purpose"] == "batch"
    assert send(jsonl(line(1), line(1)), ("purpose", "batch")).json()["error"]["code"] == "duplicate_custom_id"
    assert send(b"any", ("purpose", "user_data")).json()["bytes"] == 3
    twice = send(jsonl(line(1), line(1)), ("purpose", "user_data"), ("purpose", "batch"))
    assert twice.json()["error"]["code"] == "invalid_multipart"


def test_a_large_upload_streams_through(files: OpenAI) -> None:
    content = b"0123456789abcdef" * 2**17
    made = files.files.create(file=("big.bin", content), purpose="user_data")
    assert made.bytes == len(content)
    with files.files.with_streaming_response.content(made.id) as answer:
        assert b"".join(answer.iter_bytes()) == content


def test_an_upload_in_parts_becomes_a_file(files: OpenAI, other: OpenAI) -> None:
    upload = files.uploads.create(bytes=6, filename="a.txt", mime_type="text/plain", purpose="user_data")
    with pytest.raises(NotFoundError):
        other.uploads.parts.create(upload.id, data=b"abc")
    parts = [files.uploads.parts.create(upload.id, data=piece).id for piece in (b"abc", b"def")]
    with pytest.raises(NotFoundError):
        other.uploads.complete(upload.id, part_ids=parts)
    done = files.uploads.complete(upload.id, part_ids=parts)
    assert done.file is not None
    assert files.files.content(done.file.id).read() == b"abcdef"
    with pytest.raises(NotFoundError):
        other.files.content(done.file.id)
    begun = files.uploads.create(bytes=6, filename="b.txt", mime_type="text/plain", purpose="user_data")
    assert files.uploads.cancel(begun.id).status == "cancelled"


def test_the_sdk_uploads_a_file_in_chunks(files: OpenAI) -> None:
    content = b"x" * 3000
    done = files.uploads.upload_file_chunked(
        file=content, filename="c.txt", bytes=len(content), mime_type="text/plain", purpose="user_data", part_size=1000
    )
    assert done.file is not None
    assert done.file.bytes == 3000


async def test_the_asynchronous_sdk(gateway: Gateway, token: str) -> None:
    client: AsyncOpenAI = gateway.async_sdk(token, default_headers=HEADERS)
    made = await client.files.create(file=("a.jsonl", io.BytesIO(jsonl(line(1)))), purpose="batch")
    assert (await client.files.wait_for_processing(made.id)).id == made.id
    listed = [each.id async for each in client.files.list(limit=1, purpose="batch")]
    assert listed[0] == made.id
    content = await client.files.content(made.id)
    assert content.read() == jsonl(line(1))
    assert (await client.files.with_raw_response.delete(made.id)).parse().deleted
    await client.close()


def test_an_account_without_files_says_so(gateway: Gateway, upstream: SandboxProcess) -> None:
    someone = "user:files-groq@example.com"
    groq = provider("groq-files", upstream.url, models=[], access=(someone,))
    gateway.installation.apply({**groq, "type": "provider-account/groq"})
    client = gateway.sdk(
        gateway.token("files-groq", user="files-groq@example.com"),
        default_headers={"x-tfy-provider-name": "groq-files"},
    )
    with pytest.raises(BadRequestError) as caught:
        client.files.create(file=("a.txt", b"x"), purpose="user_data")
    assert caught.value.code == "unsupported_by_provider"
