"""What goes wrong behind us: an upstream's own errors come through as they are, everything else gets a true 5xx."""

import gzip
from collections.abc import Iterator

import httpx
import pytest
from openai import APIError, InternalServerError, OpenAI, RateLimitError

from tests.support.added import add_account
from tests.support.calls import CHAT_PATH, assert_body, assert_ours, chat, stream_error
from tests.support.installation import Gateway, within
from tests.support.sandbox_process import SandboxProcess
from tests.support.scripted import ScriptedUpstream
from tests.support.servers import wait_until

OK_HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n"
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n"
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n'


# --- the upstream's own errors ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504])
def test_an_error_keeps_status_body_and_retry_after(
    gateway: Gateway, token: str, upstream: SandboxProcess, status: int, stream: bool
) -> None:
    prompt = f"hi [[sandbox: status={status} retry-after=7]]"
    plain = upstream.post("/chat/completions", {**chat(prompt), "model": "gpt-4o-mini"})
    governed = gateway.post(token, CHAT_PATH, chat(prompt, stream=stream))

    assert governed.status_code == plain.status_code == status
    assert governed.content == plain.content
    assert governed.headers["content-type"] == plain.headers["content-type"]
    assert governed.headers["retry-after"] == "7"
    assert governed.headers["x-gatehouse-error-origin"] == "upstream"
    assert governed.headers["x-request-id"].startswith("req_")


def test_the_sdk_sees_the_upstreams_own_error(sdk: OpenAI) -> None:
    with pytest.raises(RateLimitError) as limited:
        sdk.chat.completions.create(**chat("hi [[sandbox: status=429 retry-after=3 code=slow_down]]"))
    assert limited.value.code == "slow_down"
    assert limited.value.response.headers["retry-after"] == "3"
    with pytest.raises(InternalServerError):
        sdk.chat.completions.create(**chat("hi [[sandbox: status=503]]"), stream=True)


def test_the_sdks_own_retries_work_through_us(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    with gateway.sdk(token, max_retries=2) as client:
        call = chat("hi [[sandbox: status=429 retry-after=0 times=2 key=sdk-retries]]")
        assert client.chat.completions.create(**call).choices
    assert [request["status"] for request in upstream.requests()] == [429, 429, 200]


def test_a_wrong_key_of_ours_is_told_as_the_upstream_tells_it(
    gateway: Gateway, token: str, upstream: SandboxProcess
) -> None:
    model = add_account(gateway, token, "wrong-key", upstream.url, key="sk-not-known-secret")
    response = gateway.post(token, CHAT_PATH, chat(model=model))

    assert response.status_code == 401
    assert response.headers["x-gatehouse-error-origin"] == "upstream"
    assert "sk-not-known-secret" not in response.text


def test_an_error_page_keeps_its_status_and_type(gateway: Gateway, token: str) -> None:
    response = gateway.post(token, CHAT_PATH, chat("hi [[sandbox: html status=502]]"))
    assert response.status_code == 502
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-gatehouse-error-origin"] == "upstream"


# --- answers that are none ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directive", "status", "code"),
    [
        ("garbage", 502, "upstream_broken_answer"),
        ("html", 502, "upstream_broken_answer"),
        ("redirect=http://127.0.0.1:9/v1", 502, "upstream_broken_answer"),
        ("cut", 502, "upstream_disconnected"),
        ("reset", 502, "upstream_disconnected"),
        ("cut-after=0", 502, "upstream_disconnected"),
        ("cut-after=0 reset", 502, "upstream_disconnected"),
    ],
)
def test_no_answer(gateway: Gateway, token: str, directive: str, status: int, code: str) -> None:
    response = gateway.post(token, CHAT_PATH, chat(f"hi [[sandbox: {directive}]]"))
    assert_ours(response, status, code)
    assert "127.0.0.1" not in response.text
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert (record["status"], record["error_class"]) == (status, code)


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


def test_no_redirect_is_followed(gateway: Gateway, token: str, scripted: ScriptedUpstream) -> None:
    for status in ("", "; status=307"):
        response = gateway.post(token, CHAT_PATH, chat(f"hi [[sandbox: redirect={scripted.origin}/v1{status}]]"))
        assert_ours(response, 502, "upstream_broken_answer")
        assert "location" not in response.headers
        assert "base URL" in response.json()["message"]
    assert scripted.requests == 0


SCRIPTS: dict[str, tuple[list[bytes], str]] = {
    "nothing": ([b""], "upstream_disconnected"),
    "no-http": ([b"SSH-2.0-OpenSSH_9.2\r\n"], "upstream_broken_answer"),
    "a-bad-status": ([b"HTTP/1.1 abc OK\r\n\r\n"], "upstream_broken_answer"),
    "a-bad-header": ([b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n{}"], "upstream_broken_answer"),
    "endless-headers": ([OK_HEAD + b"x-long: " + b"a" * 200_000 + b"\r\n\r\n{}"], "upstream_broken_answer"),
    "an-odd-status": ([b"HTTP/1.1 999 Odd\r\ncontent-length: 2\r\n\r\n{}"], "upstream_broken_answer"),
    "half-a-head": ([b"HTTP/1.1 200 OK\r\ncontent-ty"], "upstream_disconnected"),
    "half-a-body": ([OK_HEAD + b'content-length: 100\r\n\r\n{"id":'], "upstream_disconnected"),
    "half-a-chunk": ([OK_HEAD + b'transfer-encoding: chunked\r\n\r\nff\r\n{"id":'], "upstream_disconnected"),
    "a-bad-chunk": ([OK_HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}"], "upstream_broken_answer"),
    "a-bad-gzip": ([OK_HEAD + b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello"], "upstream_broken_answer"),
}


@pytest.fixture(scope="module")
def scripted_model(running_gateway: Gateway, user_token: str, scripted: ScriptedUpstream) -> str:
    return add_account(running_gateway, user_token, "scripted", f"{scripted.origin}/v1")


@pytest.mark.parametrize("name", SCRIPTS)
def test_broken_http(gateway: Gateway, token: str, scripted: ScriptedUpstream, scripted_model: str, name: str) -> None:
    pieces, code = SCRIPTS[name]
    scripted.answer(*pieces)
    with within(3, "noticing broken HTTP"):
        assert_ours(gateway.post(token, CHAT_PATH, chat(model=scripted_model)), 502, code)


def test_an_error_that_repeats_the_key(gateway: Gateway, token: str, scripted: ScriptedUpstream) -> None:
    secrets = {"key": "sk-told-by-the-upstream", "extra_headers": {"x-partner": "partner-secret"}}
    model = add_account(gateway, token, "telltale", f"{scripted.origin}/v1", **secrets)
    body = b'{"error":{"message":"Incorrect API key: sk-told-by-the-upstream (partner-secret)."}}'
    scripted.answer(b"HTTP/1.1 401 No\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    response = gateway.post(token, CHAT_PATH, chat(model=model))
    assert response.status_code == 401
    assert response.json()["error"]["message"] == "Incorrect API key: [redacted] ([redacted])."


def test_a_key_repeated_with_nul_between(gateway: Gateway, token: str, scripted: ScriptedUpstream) -> None:
    key = "sk-nul-told-by-the-upstream"
    model = add_account(gateway, token, "nul-telltale", f"{scripted.origin}/v1", key=key)
    body = b'{"error":{"message":"%b"}}' % "".join(f"\\u0000{sign}" for sign in key).encode()
    scripted.answer(b"HTTP/1.1 400 No\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    response = gateway.post(token, CHAT_PATH, chat(model=model))
    assert "[redacted]" in response.json()["error"]["message"]
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert record["error_message"].replace("\0", "") == "[redacted]"


NOTHING = (b"", b"null", b"[]", b"[1, 2]", b"{}", b"5", b"true", b'"text"')


def test_a_success_that_is_not_json(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, scripted_model: str
) -> None:
    """Nothing at all, and JSON without a field, are of no use to a client."""
    for answer in (
        *(OK_HEAD + b"content-length: %d\r\n\r\n" % len(body) + body for body in NOTHING),
        b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
        EVENTS_HEAD.replace(b"text/event-stream", b"text/plain"),
    ):
        scripted.answer(answer)
        assert_ours(gateway.post(token, CHAT_PATH, chat(model=scripted_model)), 502, "upstream_broken_answer")


INSIDE_200: list[tuple[bytes, int]] = [
    (b'{"error":"upstream refused Bearer sk-told-by-the-upstream"}', 502),
    (b'{"object":"error","message":"too long","code":400}', 400),
    (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', 503),
    (b'{"error":{"message":"slow down","code":429}}', 429),
    (b'{"id":"x","error":{"message":"slow down","code":429}}', 429),
    (b'{"object":"list","data":[],"error":{"message":"slow down","code":429}}', 429),
]


@pytest.mark.parametrize(("body", "status"), INSIDE_200)
def test_an_error_inside_a_200(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, body: bytes, status: int
) -> None:
    """It has the status that it should have had, may be retried like it, is recorded as an error, and shows no key."""
    key = f"inside-{status}-{len(body)}"
    model = add_account(gateway, token, key, f"{scripted.origin}/v1", key="sk-told-by-the-upstream")
    scripted.answer(OK_HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
    response = gateway.post(token, CHAT_PATH, chat(model=model))
    assert response.status_code == status
    assert b"sk-told" not in response.content
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert (record["status"], record["upstream_status"], record["error_class"]) == (status, 200, "upstream_error")
    assert record["error_message"]
    assert "sk-told" not in record["error_message"]


def test_an_error_beside_choices_is_recorded_and_passed(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, scripted_model: str
) -> None:
    body = b'{"id":"x","error":{"code":502,"message":"cut"},"choices":[{"index":0,"message":{"content":"half"}}]}'
    scripted.answer(OK_HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
    response = gateway.post(token, CHAT_PATH, chat(model=scripted_model))
    assert (response.status_code, response.content) == (200, body[:-1] + b',"provider":"openai"}')
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert (record["error_class"], record["error_message"]) == ("upstream_error", "cut")


def test_an_error_beside_no_choices_is_an_error(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, scripted_model: str
) -> None:
    """What it says it used is recorded all the same."""
    usage = b'{"prompt_tokens":3,"completion_tokens":0}'
    body = b'{"id":"x","error":{"code":429,"message":"no"},"choices":[ ],"usage":%b}' % usage
    scripted.answer(OK_HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
    response = gateway.post(token, CHAT_PATH, chat(model=scripted_model))
    assert (response.status_code, response.content) == (429, body)
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert (record["error_class"], record["error_message"], record["input_tokens"]) == ("upstream_error", "no", 3)


def test_an_answer_with_half_a_character(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, scripted_model: str
) -> None:
    """A lone surrogate does not lose an answer that the vendor bills: clients' parsers take it."""
    body = b'{"id":"x","choices":[{"message":{"content":"\\ud800"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
    scripted.answer(OK_HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
    response = gateway.post(token, CHAT_PATH, chat(model=scripted_model))
    assert (response.status_code, response.content) == (200, body[:-1] + b',"provider":"openai"}')
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert (record["input_tokens"], record["output_tokens"]) == (3, 2)


@pytest.mark.parametrize("kind", [b"Text/Event-Stream", b"text/event-stream; charset=utf-8", b"application/json"])
def test_events_are_known_whatever_their_type_says(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, scripted_model: str, kind: bytes
) -> None:
    events = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: " + kind + b"\r\n\r\n"
    scripted.answer(head + events + usage + b"data: [DONE]\n\n")
    response = gateway.post(token, CHAT_PATH, chat(model=scripted_model, stream=True))
    assert (response.status_code, response.content) == (200, events + b"data: [DONE]\n\n")
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert (record["input_tokens"], record["output_tokens"]) == (3, 2)


ODD_USAGE = b'"usage":{"prompt_tokens":3,"completion_tokens":2}'


def test_an_answer_that_is_not_utf_8(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, scripted_model: str
) -> None:
    """Values that we don't read go on as they came; names that no one can read are an error."""
    body = b'{"id":"\xff",%s,"service_tier":"\xff"}' % ODD_USAGE
    scripted.answer(OK_HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
    response = gateway.post(token, CHAT_PATH, chat(model=scripted_model))
    assert (response.status_code, response.content) == (200, body[:-1] + b',"provider":"openai"}')
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert (record["input_tokens"], record["output_tokens"], record["service_tier"]) == (3, 2, "")

    scripted.answer(OK_HEAD + b'content-length: 8\r\n\r\n{"\xff": 1}')
    assert_ours(gateway.post(token, CHAT_PATH, chat(model=scripted_model)), 502, "upstream_broken_answer")

    events = b'data: {"\xff":1,%s}\n\ndata: {"choices":[],%s,"service_tier":"\xff"}\n\ndata: [DONE]\n\n'
    scripted.answer(EVENTS_HEAD + EVENT + events % (ODD_USAGE, ODD_USAGE))
    stream = gateway.post(token, CHAT_PATH, chat(model=scripted_model, stream=True))
    assert stream.content == EVENT + b'data: {"\xff":1,%s}\n\ndata: [DONE]\n\n' % ODD_USAGE


def test_an_answer_that_is_packed_although_nobody_asked(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, scripted_model: str
) -> None:
    body = gzip.compress(b'{"id": "x"}')
    scripted.answer(OK_HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    response = gateway.post(token, CHAT_PATH, chat(model=scripted_model))
    assert response.json() == {"id": "x", "provider": "openai"}
    assert "content-encoding" not in response.headers


def test_a_wait_that_is_no_number(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, scripted_model: str
) -> None:
    for wait in (b"nan", b"inf", b"-inf", b"-5", b"Wed, 21 Oct 2026 07:28:00 GMT", b"soon"):
        scripted.answer(
            b"HTTP/1.1 503 Busy\r\nconnection: close\r\nretry-after: %s\r\ncontent-length: 2\r\n\r\n{}" % wait
        )
        with within(2, "a retry"):
            response = gateway.post(
                token, CHAT_PATH, chat(model=scripted_model), headers={"x-tfy-retry-config": '{"attempts": 1}'}
            )
        assert response.status_code == 503
        assert response.headers["retry-after"] == wait.decode()


def test_bytes_that_break_off_are_not_mended(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, scripted_model: str
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n"
    scripted.answer(head + b"5\r\nhello\r\n", b"5\r\nhel", pause=0.1)
    with pytest.raises(httpx.RemoteProtocolError):
        gateway.post(token, CHAT_PATH, chat(model=scripted_model))
    (record,) = gateway.installation.records(
        1, model_asked=scripted_model, error_class="upstream_disconnected", status=200
    )
    assert 5 <= record["bytes_out"] <= 8
    scripted.answer(head + b"5\r\nhello\r\n0\r\n\r\n")
    assert gateway.post(token, CHAT_PATH, chat(model=scripted_model)).content == b"hello"


# --- streams ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directive", "code"),
    [
        ("cut-after=3", "upstream_disconnected"),
        ("cut-after=3 reset", "upstream_disconnected"),
        ("cut-after=0", "upstream_disconnected"),
        ("cut-after=3 split=5", "upstream_disconnected"),
    ],
)
def test_a_stream_that_is_cut_ends_in_an_error(gateway: Gateway, token: str, directive: str, code: str) -> None:
    response = gateway.post(token, CHAT_PATH, chat(f"Count from 1 to 9. [[sandbox: {directive}]]", stream=True))

    error = assert_body(stream_error(response.content), code)
    assert response.status_code == 200
    assert error["type"] == "server_error"
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert (record["status"], record["error_class"], record["client_gone"]) == (200, code, False)
    assert record["bytes_out"] == len(response.content)


def test_the_sdk_raises_in_a_stream_that_is_cut(sdk: OpenAI) -> None:
    stream = sdk.chat.completions.create(**chat("Count from 1 to 9. [[sandbox: cut-after=4]]"), stream=True)
    assert len([next(stream) for _ in range(4)]) == 4
    with pytest.raises(APIError, match="closed the connection"):
        next(stream)


def test_an_error_event_of_the_upstream_goes_on(gateway: Gateway, token: str, sdk: OpenAI) -> None:
    prompt = "Count from 1 to 9. [[sandbox: error-after=2]]"
    response = gateway.post(token, CHAT_PATH, chat(prompt, stream=True))
    assert response.status_code == 200
    events = response.content.split(b"\n\n")
    assert [b"error" in event for event in events] == [False, False, True, False], "one error, and nothing behind it"
    assert b"had an error" in events[2]
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert (record["error_class"], record["status"], record["estimated"]) == ("upstream_error", 200, True)
    assert record["cost_pico"] > 0, "the vendor bills what came before"
    with pytest.raises(APIError, match="had an error"):
        list(sdk.chat.completions.create(**chat(prompt), stream=True))


def test_a_garbled_event_goes_on_as_it_came(gateway: Gateway, token: str) -> None:
    response = gateway.post(token, CHAT_PATH, chat("Count from 1 to 3. [[sandbox: garbage]]", stream=True))
    assert b'data: {"id": "garbage", "choices": [{"index": 0, "del\n\n' in response.content
    assert response.content.endswith(b"data: [DONE]\n\n")


def test_a_stream_that_ends_properly_but_too_early(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, scripted_model: str
) -> None:
    scripted.answer(EVENTS_HEAD + EVENT)
    response = gateway.post(token, CHAT_PATH, chat(model=scripted_model, stream=True))
    assert response.content.startswith(EVENT)
    assert_body(stream_error(response.content), "upstream_stream_truncated")


def test_an_event_without_end_is_bounded(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, scripted_model: str
) -> None:
    scripted.answer(EVENTS_HEAD + EVENT + b"data: ", *[b"x" * 2**20] * 18)
    response = gateway.post(token, CHAT_PATH, chat(model=scripted_model, stream=True))
    assert response.content.startswith(EVENT)
    assert "16 MB" in stream_error(response.content)["message"]


# --- time ---------------------------------------------------------------------------------------------------


def test_an_upstream_that_never_answers(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    with within(2, "a request timeout of 0.3 s") as elapsed:
        response = gateway.post(
            token, CHAT_PATH, chat("hi [[sandbox: hang]]"), headers={"x-tfy-request-timeout": "300"}
        )
    assert elapsed() >= 0.28
    assert_ours(response, 504, "upstream_timeout")
    wait_until(lambda: upstream.requests()[0]["disconnected"], 2)


def test_an_upstream_that_falls_silent(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    model = add_account(gateway, token, "hasty", upstream.url, read_timeout=0.4)
    whole = gateway.post(token, CHAT_PATH, chat("hi [[sandbox: hang]]", model=model))
    assert_ours(whole, 504, "upstream_timeout")

    stream = chat("Count from 1 to 9. [[sandbox: hang-after=2]]", model=model, stream=True)
    with within(3, "noticing silence"):
        response = gateway.post(token, CHAT_PATH, stream)
    assert_body(stream_error(response.content), "upstream_timeout")
    assert response.content.count(b'"delta"') == 2


def test_a_stream_longer_than_its_time(gateway: Gateway, token: str) -> None:
    with within(2, "a request timeout of 0.4 s"):
        response = gateway.post(
            token,
            CHAT_PATH,
            chat("hi [[sandbox: tokens=100 token-delay=40]]", stream=True),
            headers={"x-tfy-request-timeout": "400"},
        )
    assert_body(stream_error(response.content), "upstream_timeout")
    assert response.content.count(b'"delta"') > 2


@pytest.mark.parametrize("directive", ["hang", "latency=3000", "token-delay=3000"])
def test_a_first_token_that_does_not_come(gateway: Gateway, token: str, directive: str) -> None:
    body = chat(f"hi [[sandbox: {directive}]]", stream=True)
    with within(2, "a first-token timeout of 0.3 s"):
        response = gateway.post(token, CHAT_PATH, body, headers={"x-tfy-ttft-timeout-ms": "300"})
    assert_ours(response, 408, "first_token_timeout")
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert (record["status"], record["ttft_us"]) == (408, None)


def test_the_first_token_timeout_binds_the_first_token_only(gateway: Gateway, token: str) -> None:
    headers = {"x-tfy-ttft-timeout-ms": "400"}
    body = chat("hi [[sandbox: tokens=12 token-delay=60]]", stream=True)
    response = gateway.post(token, CHAT_PATH, body, headers=headers)
    assert response.content.endswith(b"data: [DONE]\n\n")
    whole = gateway.post(token, CHAT_PATH, chat("hi [[sandbox: latency=600]]"), headers=headers)
    assert whole.status_code == 200


# --- too much -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directive", ["big=2000000", "endless"])
def test_an_answer_that_is_too_large(tight_gateway: Gateway, tight_token: str, directive: str) -> None:
    with within(10, "refusing a large answer"):
        response = tight_gateway.post(tight_token, CHAT_PATH, chat(f"hi [[sandbox: {directive}]]"))
    assert_ours(response, 502, "upstream_broken_answer")


def test_a_small_answer_that_unpacks_to_a_large_one(tight_gateway: Gateway, tight_token: str) -> None:
    body = gzip.compress(b'{"id": "' + b"x" * 50_000_000 + b'"}')
    with ScriptedUpstream() as packed:
        model = add_account(tight_gateway, tight_token, "packed", f"{packed.origin}/v1")
        packed.answer(OK_HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        response = tight_gateway.post(tight_token, CHAT_PATH, chat(model=model))
    assert_ours(response, 502, "upstream_broken_answer")


def test_headers_that_the_operator_lets_through(
    tight_gateway: Gateway, tight_token: str, upstream: SandboxProcess
) -> None:
    headers = {"x-sandbox": "status=418", "x-team": "blue", "x-other": "red"}
    response = tight_gateway.post(tight_token, CHAT_PATH, chat(), headers=headers)
    received = dict(upstream.requests()[0]["headers"])
    assert response.status_code == 418
    assert received["x-team"] == "blue"
    assert "x-other" not in received
