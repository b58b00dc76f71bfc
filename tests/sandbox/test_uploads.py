"""Uploads in parts, through the SDK."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types import Upload

from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess


def begin(client: OpenAI, size: int) -> Upload:
    raw = client.uploads.with_raw_response.create(
        bytes=size, filename="book.jsonl", mime_type="text/jsonl", purpose="batch"
    )
    assert_valid("Upload", raw.http_response.json())
    return raw.parse()


def test_parts_come_together_in_the_order_asked_for(client: OpenAI) -> None:
    upload = begin(client, 9)
    assert upload.status == "pending"
    assert upload.expires_at == upload.created_at + 3600

    ids = []
    for data in (b"three", b"one", b"x"):
        raw = client.uploads.parts.with_raw_response.create(upload.id, data=data)
        assert_valid("UploadPart", raw.http_response.json())
        ids.append(raw.parse().id)
    md5 = hashlib.md5(b"onexthree").hexdigest()
    raw_complete = client.uploads.with_raw_response.complete(upload.id, part_ids=[ids[1], ids[2], ids[0]], md5=md5)

    assert_valid("Upload", raw_complete.http_response.json())
    complete = raw_complete.parse()
    assert complete.status == "completed"
    assert complete.file is not None
    assert (complete.file.filename, complete.file.bytes, complete.file.purpose) == ("book.jsonl", 9, "batch")
    assert client.files.content(complete.file.id).read() == b"onexthree"
    with pytest.raises(BadRequestError, match="status 'completed'"):
        client.uploads.parts.create(upload.id, data=b"more")


def test_the_sdk_cuts_a_file_into_parts(client: OpenAI, tmp_path: Path) -> None:
    data = b"0123456789" * 50_000
    path = tmp_path / "large.jsonl"
    path.write_bytes(data)

    upload = client.uploads.upload_file_chunked(
        file=path, mime_type="text/jsonl", purpose="batch", part_size=200_000, md5=hashlib.md5(data).hexdigest()
    )
    assert upload.file is not None
    assert client.files.content(upload.file.id).read() == data


def test_what_does_not_match_is_refused_and_can_be_tried_again(client: OpenAI) -> None:
    upload = begin(client, 5)
    part = client.uploads.parts.create(upload.id, data=b"hello")
    short = client.uploads.parts.create(upload.id, data=b"hell")

    with pytest.raises(BadRequestError, match=r"uploaded \(4\) does not match the expected number of bytes \(5\)"):
        client.uploads.complete(upload.id, part_ids=[short.id])
    with pytest.raises(BadRequestError, match="md5 checksum of the file is 5d41402abc4b2a76b9719d911017c592"):
        client.uploads.complete(upload.id, part_ids=[part.id], md5="0" * 32)
    with pytest.raises(BadRequestError, match="Part not found: part_x"):
        client.uploads.complete(upload.id, part_ids=["part_x"])
    with pytest.raises(BadRequestError, match="No parts"):
        client.uploads.complete(upload.id, part_ids=[])
    assert client.uploads.complete(upload.id, part_ids=[part.id]).status == "completed"


def test_a_cancelled_upload_takes_nothing_more(client: OpenAI) -> None:
    upload = begin(client, 5)
    part = client.uploads.parts.create(upload.id, data=b"hello")

    raw = client.uploads.with_raw_response.cancel(upload.id)
    assert_valid("Upload", raw.http_response.json())
    assert raw.parse().status == "cancelled"
    with pytest.raises(BadRequestError, match="status 'cancelled'"):
        client.uploads.complete(upload.id, part_ids=[part.id])
    with pytest.raises(BadRequestError):
        client.uploads.cancel(upload.id)


def test_an_upload_expires_after_an_hour() -> None:
    with SandboxProcess() as sandbox, sandbox.client() as client:
        upload = begin(client, 5)
        sandbox.advance(3601)
        with pytest.raises(BadRequestError, match="status 'expired'"):
            client.uploads.parts.create(upload.id, data=b"hello")


def test_the_file_may_expire_too(client: OpenAI) -> None:
    upload = client.uploads.create(
        bytes=2,
        filename="a.pdf",
        mime_type="application/pdf",
        purpose="assistants",
        expires_after={"anchor": "created_at", "seconds": 7200},
    )
    part = client.uploads.parts.create(upload.id, data=b"ab")
    file = client.uploads.complete(upload.id, part_ids=[part.id]).file
    assert file is not None
    assert file.expires_at == file.created_at + 7200


def test_unknown_uploads_and_missing_parameters(client: OpenAI, sandbox: SandboxProcess) -> None:
    with pytest.raises(NotFoundError, match="No such Upload object: upload_x"):
        client.uploads.parts.create("upload_x", data=b"hello")
    answer = sandbox.post("/uploads", {"filename": "a.pdf", "purpose": "assistants", "mime_type": "application/pdf"})
    assert answer.json()["error"]["param"] == "bytes"
    asked: Any = {"bytes": 1, "filename": "a", "mime_type": "text/plain", "purpose": "homework"}
    with pytest.raises(BadRequestError, match="'homework' is not one of"):
        client.uploads.create(**asked)
