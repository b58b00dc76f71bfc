"""Multipart bodies on their way: the same bytes upstream but for the model, bounded memory, and clear answers to bad
ones.
"""

import contextlib
import gzip
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIStatusError

from gateway.body.upload import check_unpacked
from gateway.call.errors import UnsupportedMedia
from tests.support.calls import assert_ours, read_answer
from tests.support.installation import Gateway, within
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until
from tests.support.surface import Surface, picture

BOUNDARY = b"----GatehouseTest7"
PATH = "/v1/images/edits"
MODEL = b"media/gpt-image-1"
MEGABYTE = 2**20
UPLOAD_BYTES = 200 * MEGABYTE
ALLOWED_BYTES = 16 * MEGABYTE
# The part's name, how its headers go on, and its content. What is odd here must arrive as odd.
PARTS: dict[str, tuple[bytes, bytes]] = {
    "image[]": (b'; filename="na\xc3\xafve \\"x\\".png"\r\nContent-Type: image/png\r\nX-Own: 1', picture()),
    "prompt": (b"\r\ncontent-type: text/plain; charset=utf-8", "Grüße --\r\n------GatehouseTes\r\n--".encode()),
    "size": (b"", b"1024x1024"),
    "quality": (b"", b"low"),
    "n": (b"", b"1"),
    "user": (b"", b""),
}


def part(name: str, more: bytes, content: bytes) -> bytes:
    head = b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="' + name.encode() + b'"' + more
    return head + b"\r\n\r\n" + content + b"\r\n"


def body(model: bytes | None = MODEL, place: int = 0, parts: dict[str, tuple[bytes, bytes]] = PARTS) -> bytes:
    """A whole body with the model at ``place`` among the other parts."""
    made = [part(name, *described) for name, described in parts.items()]
    if model is not None:
        made.insert(place, part("model", b"", model))
    return b"".join(made) + b"--" + BOUNDARY + b"--\r\n"


def headers(token: str, **more: str) -> dict[str, str]:
    given = {"content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
    return {
        "authorization": f"Bearer {token}",
        **given,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


def post(surface: Surface, content: Any, path: str = PATH, **more: str) -> httpx.Response:
    return surface.gateway.http.post(
        surface.gateway.origin + path, content=content, headers=headers(surface.ada, **more)
    )


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def begin(surface: Surface, length: int, content: bytes, token: str = "", **more: str) -> socket.socket:
    """Send the head and ``content`` over a socket of its own."""
    lines = {"host": "gatehouse", "content-length": str(length), **headers(token or surface.ada), **more}
    head = f"POST {PATH} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection = socket.create_connection(("127.0.0.1", surface.gateway.port), 10)
    connection.sendall(head.encode() + b"\r\n" + content)
    return connection


# --- what arrives -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 3, 99], ids=["first", "between", "last"])
@pytest.mark.parametrize("size", [0, 7, 65_536], ids=["whole", "in-small-pieces", "in-pieces"])
def test_every_byte_but_the_model_arrives(surface: Surface, place: int, size: int) -> None:
    content = body(place=place)
    answer = post(surface, pieces(content, size) if size else content)
    assert answer.status_code == 200, answer.text
    (sent,) = surface.upstream.requests()
    assert sent["body"] == content.replace(MODEL, b"gpt-image-1")
    assert dict(sent["headers"])["content-type"] == headers("")["content-type"]
    if not size:
        assert dict(sent["headers"])["content-length"] == str(len(sent["body"]))


@pytest.mark.parametrize("place", [0, 99], ids=["model-first", "model-last"])
def test_a_large_upload_stays_out_of_memory(surface: Surface, tmp_path: Path, place: int) -> None:
    status = Path(f"/proc/{surface.gateway.process.pid}/status")

    def resident(line: str) -> int:
        return int(next(row for row in status.read_text().splitlines() if row.startswith(line)).split()[1]) * 1024

    with SandboxProcess("--no-record", f"--max-body={2 * UPLOAD_BYTES}") as large:
        surface.installation.apply(provider("large", large.url, models=["whisper-1"], access=["user:ada@example.com"]))
        wait_until(lambda: "large/whisper-1" in surface.gateway.get(surface.ada, "/v1/models").text)
        chunk = bytes(range(256)) * 256
        opening = part("file", b'; filename="a.wav"', b"")[:-2]
        model = part("model", b"", b"large/whisper-1")
        before, after = (b"", b"\r\n") if place else (model, b"\r\n")
        ending = after + (model if place else b"") + b"--" + BOUNDARY + b"--\r\n"

        def content() -> Iterator[bytes]:
            yield before + opening
            for _ in range(UPLOAD_BYTES // len(chunk)):
                yield chunk
            yield ending

        Path(f"/proc/{surface.gateway.process.pid}/clear_refs").write_text("5")  # the peak begins again
        at_rest = resident("VmRSS")
        answer = post(surface, content(), "/v1/audio/transcriptions")
        assert f"This recording of {UPLOAD_BYTES} bytes" in answer.text
        assert resident("VmHWM") - at_rest <= ALLOWED_BYTES


# --- what goes wrong ----------------------------------------------------------------------------------------


def test_a_slow_upload(surface: Surface) -> None:
    content = body()

    def slowly() -> Iterator[bytes]:
        for piece in pieces(content, len(content) // 8 + 1):
            yield piece
            time.sleep(0.1)

    assert post(surface, slowly()).status_code == 200


@pytest.mark.parametrize("place", [0, 99], ids=["on-its-way-upstream", "before-the-model"])
def test_a_client_that_leaves_in_the_middle(surface: Surface, place: int) -> None:
    content = body(place=place, parts={"image[]": (b'; filename="a.png"', b"a" * 300_000)})
    connection = begin(surface, len(content), content[:200_000])
    if place == 0:
        wait_until(lambda: any(request["body_bytes"] > 0 for request in surface.upstream.requests()))
    connection.close()
    if place == 0:
        wait_until(lambda: surface.upstream.requests()[-1]["disconnected"], 3)
    else:
        wait_until(lambda: "status=499" in surface.gateway.log or "499" in surface.gateway.log, 3)
        assert surface.upstream.requests() == []


@pytest.mark.parametrize(
    ("content", "fragment", "param"),
    [
        (body()[:-60], "ends before its last boundary", None),
        (body(place=99)[:-90], "", None),
        (body() + body(), "follows the last boundary", None),
        (body().replace(b"--\r\n", b"--\r\n" + body()), "", None),
        (b"", "ends before its last boundary", None),
        (b"hello", "ends before its last boundary", None),
        (b"hello" * 30, "does not begin with the boundary", None),
        (body().replace(b"\r\n", b"\n"), "line break", None),
        (part("model", b"", MODEL) * 2 + b"--" + BOUNDARY + b"--", "given twice", "model"),
        (part("model", b'; filename="m"', MODEL) + b"--" + BOUNDARY + b"--", "must be one text", "model"),
        (
            part("n", b'\r\nContent-Disposition: form-data; name="model"', b"1") + body(),
            "the same header twice",
            None,
        ),
        (part("x", b"\r\nX-Long: " + b"a" * 200_000, b"") + body(), "headers of a multipart part are too long", None),
        (part("x", b"", b"") * 100_000 + body(), "more than 512 parts", None),
        (body(place=99, parts={"model[": (b"", b"")}), "", None),
    ],
    ids=[
        "truncated",
        "truncated-before-the-model",
        "two-bodies",
        "data-behind",
        "nothing",
        "no-multipart",
        "another-boundary",
        "lf-only",
        "two-models",
        "a-model-in-a-file",
        "two-headers",
        "giant-headers",
        "part-bomb",
        "odd-name",
    ],
)
def test_bad_bodies_get_a_clear_answer(surface: Surface, content: bytes, fragment: str, param: str | None) -> None:
    answer = post(surface, content)
    assert answer.status_code == 400, answer.text
    assert fragment in answer.text
    if fragment:
        assert_ours(answer, 400, "invalid_multipart", param)


@pytest.mark.parametrize("model", [None, b"", b"  "])
def test_a_form_without_the_model_that_it_needs(surface: Surface, model: bytes | None) -> None:
    answer = post(surface, body(model=model), "/v1/audio/transcriptions")
    error = assert_ours(answer, 400, "missing_required_parameter", "model")
    assert error["message"].startswith("You must provide a 'model'")


def test_other_content_types(surface: Surface) -> None:
    path = "/v1/audio/transcriptions"
    assert_ours(post(surface, b"{}", path, content_type="application/json"), 415, "unsupported_media_type")
    assert_ours(post(surface, body(), content_type="multipart/form-data"), 400, "invalid_multipart")


@pytest.mark.parametrize("encoding", ["gzip", "identity, br", "unheard-of"])
def test_a_packed_form_is_called_so(encoding: str) -> None:
    with pytest.raises(UnsupportedMedia, match=f"Content-Encoding '{encoding}'"):
        check_unpacked(encoding.encode())
    check_unpacked(b"identity")


def test_a_packed_form_is_refused_before_it_is_read(surface: Surface) -> None:
    answer = post(surface, gzip.compress(body()), "/v1/audio/transcriptions", content_encoding="gzip")
    assert "Content-Encoding 'gzip'" in assert_ours(answer, 415, "unsupported_media_type")["message"]


def test_ids_in_parts_must_be_the_callers(surface: Surface) -> None:
    big = {"image[]": (b'; filename="a.png"', b"a" * 2 * MEGABYTE)}
    named = {**big, "images[0][file_id]": (b"", b"file-of-somebody")}
    for place in (99, 0):
        surface.upstream.clear()
        answer = post(surface, body(place=place, parts=named))
        if place:
            assert_ours(answer, 404, "not_found", "file_id")
            assert surface.upstream.requests() == []
        else:
            assert_ours(answer, 400, "invalid_multipart", "file_id")


# --- bounds and refusals, visible while the client still sends ----------------------------------------------


@pytest.fixture(scope="module")
def small(running_surface: Surface) -> Gateway:
    """A server of the same installation that takes uploads of a megabyte."""
    return running_surface.installation.gateway(env={"GATEHOUSE_MAX_UPLOAD_MB": "1"})


def test_an_upload_over_the_bound(surface: Surface, small: Gateway) -> None:
    with small.sdk(surface.ada) as sdk, pytest.raises(APIStatusError) as refused:
        sdk.images.edit(model="media/gpt-image-1", prompt="a", image=("a.png", b"a" * 3 * MEGABYTE))
    assert refused.value.status_code == 413
    assert "GATEHOUSE_MAX_UPLOAD_MB" in str(refused.value)


def test_an_upload_over_the_bound_that_does_not_say_so(surface: Surface, small: Gateway) -> None:
    content = body(parts={"image[]": (b'; filename="a.png"', b"a" * 3 * MEGABYTE)})
    answer = small.http.post(small.origin + PATH, content=pieces(content, 65_536), headers=headers(surface.ada))
    assert_ours(answer, 413, "request_too_large")


def test_who_has_no_token_is_told_before_the_body_comes(surface: Surface) -> None:
    with begin(surface, 10 * MEGABYTE, b"", "gh-nobody", expect="100-continue") as connection, within(2):
        assert read_answer(connection)[0] == 401


def test_who_may_not_call_the_model_sends_nothing_upstream(surface: Surface) -> None:
    content = body(parts={"image[]": (b'; filename="a.png"', b"a" * 3 * MEGABYTE)})
    with surface.sdk(surface.stranger) as sdk, pytest.raises(APIStatusError) as refused:
        sdk.images.edit(model="media/gpt-image-1", prompt="a", image=("a.png", b"a" * 3 * MEGABYTE))
    assert refused.value.status_code == 404
    assert_ours(post(surface, content, authorization=f"Bearer {surface.stranger}"), 404, "model_not_found", "model")
    assert surface.upstream.requests() == []


@contextlib.contextmanager
def hasty_upstream(answer: bytes) -> Iterator[str]:
    """An upstream that answers as soon as it has the head of a request, and goes on reading."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(65_536)
                connection.sendall(answer)
                while connection.recv(65_536):
                    continue

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("status", [401, 413])
def test_an_upstream_that_answers_before_it_has_read_everything(surface: Surface, status: int) -> None:
    said = b'{"error":{"message":"No.","type":"invalid_request_error","param":null,"code":null}}'
    head = b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(said))
    with hasty_upstream(head + said) as url:
        name = f"hasty-{status}"
        surface.installation.apply(provider(name, url, models=["gpt-image-1"], access=["user:ada@example.com"]))
        wait_until(lambda: f"{name}/" in surface.gateway.get(surface.ada, "/v1/models").text)
        sdk = surface.sdk()
        with pytest.raises(APIStatusError) as refused:
            sdk.images.edit(model=f"{name}/gpt-image-1", prompt="a", image=("a.png", b"a" * 30 * MEGABYTE))
    assert refused.value.status_code == status
    assert refused.value.message.endswith("No.") or "No." in str(refused.value)


def test_what_was_sent_is_counted(surface: Surface) -> None:
    record = surface.record("image_edit", lambda: post(surface, body()))
    assert record["bytes_in"] == len(body()) - len(b"media/")
    assert (
        hashlib.sha256(body().replace(MODEL, b"gpt-image-1")).hexdigest()
        == surface.upstream.requests()[-1]["body_sha256"]
    )
