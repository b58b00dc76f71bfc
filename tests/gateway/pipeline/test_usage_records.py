"""Every attempt leaves one record, and it is exact: who, what, tokens, cost, times; also when the process is killed."""

import json
import time
from decimal import Decimal
from typing import Any

import httpx
import pytest
from openai import InternalServerError, OpenAI

from sandbox.media import tones, wav
from tests.support.calls import CHAT_PATH, chat, stream_error
from tests.support.fixtures import ACCOUNT, CHAT, USER, InstallationMaker
from tests.support.installation import Gateway, within
from tests.support.manifests import chat_model, provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

USAGE = "prompt_tokens=1000 completion_tokens=500 cached_tokens=200 reasoning_tokens=64"
PICO = 10**12
METADATA = '{"project": "a", "é": "ü"}'.encode()
SEARCH_PRICE = {"input_mtok": "1", "output_mtok": "25", "web_searches_kcount": "25"}


def record_of(gateway: Gateway, response: httpx.Response) -> dict[str, Any]:
    """The one record of a call."""
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    return record


def records_of(gateway: Gateway, response: httpx.Response, count: int) -> list[dict[str, Any]]:
    """The records of a call, its attempts in order."""
    found = gateway.installation.records(count, request_id=response.headers["x-request-id"])
    assert [record["attempt_number"] for record in found] == list(range(1, count + 1))
    assert len({record["id"] for record in found}) == count
    return found


def dollars(text: str) -> int:
    """An amount in pico-dollars."""
    value = Decimal(text) * PICO
    assert value == int(value)
    return int(value)


# --- what a record holds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_record_is_whole(gateway: Gateway, token: str, upstream: SandboxProcess, stream: bool) -> None:
    body = chat(f"Count from 1 to 5. [[sandbox: {USAGE} latency=30]]", stream=stream)
    before = time.time()
    response = gateway.post(token, CHAT_PATH, body, headers={"x-tfy-metadata": METADATA})
    record = record_of(gateway, response)

    expected = {
        "request_id": response.headers["x-request-id"],
        "subject_type": "user",
        "subject_name": USER,
        "token_prefix": token[:10],
        "teams": [],
        "account": ACCOUNT,
        "provider": "openai",
        "model_asked": CHAT,
        "model_served": "gpt-4o-mini",
        "operation": "chat",
        "endpoint": "chat/completions",
        "stream": stream,
        "attempt_number": 1,
        "status": 200,
        "upstream_status": 200,
        "error_class": "",
        "input_tokens": 1000,
        "cached_tokens": 200,
        "cache_write_tokens": 0,
        "output_tokens": 500,
        "reasoning_tokens": 64,
        "service_tier": "default",
        "metadata": {"project": "a", "é": "ü"},
        "client_gone": False,
        "bytes_in": len(json.dumps(body).encode()),
        "bytes_out": len(response.content),
        "upstream_request_id": response.headers["x-upstream-request-id"],
        "price_gaps": "",
        "cost_pico": dollars("0.000435"),  # 800 at 0.15, 200 at 0.075 and 500 at 0.60 a million
    }
    assert {name: record[name] for name in expected} == expected
    assert record["price_version"].startswith("genai-prices/")
    assert 30_000 <= record["latency_us"] <= (time.time() - before) * 1e6
    if stream:
        assert 30_000 <= record["ttft_us"] <= record["latency_us"]


@pytest.mark.parametrize(
    ("path", "body", "operation", "cost"),
    [
        (
            "/v1/chat/completions",
            chat(f"hi [[sandbox: {USAGE}]]", model=f"{ACCOUNT}/o4-mini"),
            "chat",
            "0.003135",  # 800 at 1.10, 200 at 0.275, 500 at 4.40
        ),
        (
            "/v1/completions",
            {"model": f"{ACCOUNT}/gpt-3.5-turbo-instruct", "prompt": f"hi [[sandbox: {USAGE}]]"},
            "text_completion",
            "0.0025",  # 1000 at 1.50, 500 at 2.00
        ),
        (
            "/v1/embeddings",
            {"model": f"{ACCOUNT}/text-embedding-3-small", "input": "hi [[sandbox: prompt_tokens=1234]]"},
            "embeddings",
            "0.00002468",  # 0.02
        ),
        ("/v1/moderations", {"model": f"{ACCOUNT}/omni-moderation-latest", "input": "hi"}, "moderation", "0"),
    ],
)
def test_costs(gateway: Gateway, token: str, path: str, body: dict[str, Any], operation: str, cost: str) -> None:
    record = record_of(gateway, gateway.post(token, path, body))
    assert record["operation"] == operation
    assert record["cost_pico"] == dollars(cost)
    assert record["price_gaps"] == ""


def test_a_chat_models_searches_are_a_gap_where_they_have_no_price(
    gateway: Gateway, token: str, upstream: SandboxProcess
) -> None:
    model = chat_model("searcher", model_id="gpt-4o-search-preview")
    priced = chat_model("priced", model_id="gpt-4o-search-preview", cost={"metric": "per_unit", "value": SEARCH_PRICE})
    gateway.installation.apply(provider("searching", upstream.url, models=[model, priced]))
    wait_until(lambda: gateway.get(token, "/v1/models/searching/priced").status_code == 200)
    prompt = "hi [[sandbox: prompt_tokens=1000 completion_tokens=100]]"
    listed = record_of(gateway, gateway.post(token, CHAT_PATH, chat(prompt, model="searching/searcher")))
    assert (listed["units"], listed["price_gaps"]) == ({"web_searches": 1}, "web_searches")
    own = record_of(gateway, gateway.post(token, CHAT_PATH, chat(prompt, model="searching/priced")))
    assert (own["cost_pico"], own["price_gaps"]) == (dollars("0.0285"), "")  # 0.001, 0.0025, and 0.025 a search


def test_a_blank_around_a_models_name_means_nothing(gateway: Gateway, token: str) -> None:
    answer = gateway.post(token, CHAT_PATH, chat(model=f"  {ACCOUNT}/gpt-4o-mini\t"))
    assert answer.headers["x-tfy-resolved-model"] == f"{ACCOUNT}/gpt-4o-mini"
    sound = b"".join(wav.write(tones.pcm("hi"), tones.samples("hi"), "hi"))
    form = {"model": (None, f" {ACCOUNT}/whisper-1 "), "file": ("a.wav", sound)}
    address = f"{gateway.origin}/v1/audio/transcriptions"
    answer = gateway.http.post(address, files=form, headers={"authorization": f"Bearer {token}"})
    assert answer.headers["x-tfy-resolved-model"] == f"{ACCOUNT}/whisper-1", answer.text


def test_discounts_and_private_prices(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    price = {"metric": "per_1000_tokens", "value": {"input": "0.0001234567", "output": "0.01"}}
    private = chat_model("own-price", model_id="gpt-4o-mini", cost=price)
    unpriced = chat_model("unheard-of", model_id="gpt-5-mini")
    gateway.installation.apply(
        provider("discounted", upstream.url, models=["gpt-4o-mini", private, unpriced], discount_percent="12.5")
    )
    wait_until(lambda: gateway.get(token, "/v1/models/discounted/own-price").status_code == 200)

    def cost(model: str) -> Any:
        body = chat("hi [[sandbox: prompt_tokens=1000 completion_tokens=100]]", model=model)
        return record_of(gateway, gateway.post(token, CHAT_PATH, body))["cost_pico"]

    assert cost("discounted/gpt-4o-mini") == dollars("0.00018375")  # 0.00021 less an eighth
    assert cost("discounted/own-price") == dollars("0.000983024612")  # 0.0011234567 less an eighth, half to even


def test_the_names_asked_and_served(gateway: Gateway, token: str) -> None:
    aliased = record_of(gateway, gateway.post(token, CHAT_PATH, chat(model=f"{ACCOUNT}/named-model")))
    assert (aliased["model_asked"], aliased["model_served"]) == (f"{ACCOUNT}/named-model", "gpt-4o-mini")
    bare = gateway.post(token, CHAT_PATH, chat(model="gpt-4o-mini"), headers={"x-tfy-provider-name": ACCOUNT})
    assert record_of(gateway, bare)["model_served"] == "gpt-4o-mini"


def test_who_asked(gateway: Gateway) -> None:
    installation = gateway.installation
    installation.do("virtual_account", "shop", tags={"env": "prod", "project": "of-the-account"})
    installation.do("team", "blue", ["blue@example.com"])
    installation.do("grant", ACCOUNT, "virtualaccount:shop")
    shop, blue = gateway.token("shop", virtual_account="shop"), gateway.token("blue", user="blue@example.com")
    wait_until(lambda: gateway.get(shop, f"/v1/models/{CHAT}").status_code == 200)
    metadata = {"x-tfy-metadata": '{"project": "of-the-caller", "page": "1"}'}

    of_shop = record_of(gateway, gateway.post(shop, CHAT_PATH, chat(), headers=metadata))
    assert (of_shop["subject_type"], of_shop["subject_name"]) == ("virtualaccount", "shop")
    assert of_shop["metadata"] == {"env": "prod", "project": "of-the-account", "page": "1"}
    of_blue = record_of(gateway, gateway.post(blue, CHAT_PATH, chat()))
    assert (of_blue["subject_name"], of_blue["teams"], of_blue["metadata"]) == ("blue@example.com", ["blue"], {})


@pytest.mark.parametrize("value", ["a\\u0000b", "\\ud83d\\ude00", "'; DROP TABLE usage_usagerecord; --"])
def test_odd_metadata_is_kept_or_mended(gateway: Gateway, token: str, value: str) -> None:
    response = gateway.post(token, CHAT_PATH, chat(), headers={"x-tfy-metadata": f'{{"k": "{value}"}}'})
    assert response.status_code == 200
    assert set(record_of(gateway, response)["metadata"]) == {"k"}


def test_an_upstreams_refusal_is_recorded(gateway: Gateway, token: str) -> None:
    response = gateway.post(token, CHAT_PATH, chat("hi [[sandbox: status=429]]"))
    record = record_of(gateway, response)
    assert (record["status"], record["upstream_status"], record["error_class"]) == (429, 429, "upstream_error")
    assert (record["input_tokens"], record["cost_pico"], record["bytes_out"]) == (0, 0, len(response.content))


def test_what_is_refused_leaves_a_record_without_a_cost(gateway: Gateway, token: str) -> None:
    """Support sees what a known caller was refused; who is not known is only counted."""
    refused = [
        (gateway.post(token, CHAT_PATH, chat(model="foreign/gpt-4o-mini")), "model_not_found"),
        (gateway.post(token, CHAT_PATH, chat(model=f"{ACCOUNT}/whisper-1")), "unsupported_model_type"),
        (gateway.post(token, CHAT_PATH, content=b"{"), "invalid_json"),
        (gateway.post(token, CHAT_PATH, chat(), headers={"x-tfy-metadata": "none"}), "invalid_request"),
    ]
    unknown = gateway.post("gh-none", CHAT_PATH, chat())
    record_of(gateway, gateway.post(token, CHAT_PATH, chat()))  # what came before it is stored by now
    for response, code in refused:
        (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
        assert (record["status"], record["upstream_status"], record["error_class"]) == (response.status_code, 0, code)
        assert (record["attempt_number"], record["cost_pico"]) == (0, 0)
        assert record["error_message"] == response.json()["message"][:500]
    assert gateway.installation.records(request_id=unknown.headers["x-request-id"]) == []


# --- attempts -----------------------------------------------------------------------------------------------


def retrying(attempts: int, *codes: Any, **headers: str) -> dict[str, str]:
    config = {"attempts": attempts, **({"onStatusCodes": codes} if codes else {})}
    return {"x-tfy-retry-config": json.dumps(config), **headers}


def key() -> str:
    """A fresh counter's name for the sandbox's ``times``."""
    return f"k{time.time_ns()}"


@pytest.mark.parametrize("stream", [False, True])
def test_every_attempt_leaves_a_record(gateway: Gateway, token: str, upstream: SandboxProcess, stream: bool) -> None:
    body = chat(f"Count from 1 to 5. [[sandbox: status=503 times=2 key={key()}]]", stream=stream)
    response = gateway.post(token, CHAT_PATH, body, headers=retrying(3))
    records = records_of(gateway, response, 3)

    assert response.status_code == 200
    assert [record["status"] for record in records] == [503, 503, 200]
    assert [record["error_class"] for record in records] == ["upstream_error", "upstream_error", ""]
    assert [record["cost_pico"] > 0 for record in records] == [False, False, True]
    assert len({record["upstream_request_id"] for record in records}) == 3
    if stream:
        assert records[-1]["ttft_us"] <= records[-1]["latency_us"], "the time of an attempt counts from its own start"
    assert len(upstream.requests()) == 3
    assert len({request["body"] for request in upstream.requests()}) == 1


def test_retries_end(gateway: Gateway, token: str, sdk: OpenAI) -> None:
    response = gateway.post(token, CHAT_PATH, chat("hi [[sandbox: status=500]]"), headers=retrying(2))
    records = records_of(gateway, response, 3)
    assert response.status_code == 500
    assert [record["status"] for record in records] == [500, 500, 500]
    with pytest.raises(InternalServerError):
        sdk.chat.completions.create(**chat("hi [[sandbox: status=500]]"), extra_headers=retrying(1))


@pytest.mark.parametrize(
    ("status", "headers", "attempts"),
    [
        (500, {}, 1),
        (500, retrying(0), 1),
        (400, retrying(2), 1),
        (500, retrying(2, 429), 1),
        (429, retrying(2, 429), 3),
        (418, retrying(1, 418, "503"), 2),
        (503, {"x-tfy-retry-config": '{"attempts": 1, "on_status_codes": ["503"]}'}, 2),
        (503, {"x-tfy-retry-config": "{}"}, 3),
        (503, {"X-TFY-RETRY-CONFIG": '{"attempts": 1}'}, 2),
    ],
)
def test_only_what_was_asked_for_is_tried_again(
    gateway: Gateway, token: str, status: int, headers: dict[str, str], attempts: int
) -> None:
    response = gateway.post(token, CHAT_PATH, chat(f"hi [[sandbox: status={status}]]"), headers=headers)
    assert response.status_code == status
    records_of(gateway, response, attempts)
    assert len(gateway.installation.records(request_id=response.headers["x-request-id"])) == attempts


def test_a_retry_waits_as_the_upstream_asks(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    body = chat(f"hi [[sandbox: status=429 retry-after=1 times=1 key={key()}]]")
    assert gateway.post(token, CHAT_PATH, body, headers=retrying(1)).status_code == 200
    first, second = upstream.requests()
    # Not from "completed_at": it is noted after the answer went out, so perhaps after the wait began.
    assert 1.0 <= second["received_at"] - first["received_at"] < 2.0


def test_the_request_timeout_is_each_attempts_own(gateway: Gateway, token: str) -> None:
    body = chat(f"hi [[sandbox: hang times=2 key={key()}]]")
    headers = retrying(2, 504, **{"x-tfy-request-timeout": "300"})
    with within(4):
        response = gateway.post(token, CHAT_PATH, body, headers=headers)
    records = records_of(gateway, response, 3)
    assert [record["status"] for record in records] == [504, 504, 200]
    assert all(280_000 <= record["latency_us"] < 1_000_000 for record in records[:2]), records


def test_a_first_token_that_is_late_is_tried_again(gateway: Gateway, token: str) -> None:
    body = chat(f"hi [[sandbox: token-delay=3000 times=1 key={key()}]]", stream=True)
    response = gateway.post(token, CHAT_PATH, body, headers=retrying(1, 408, **{"x-tfy-ttft-timeout-ms": "300"}))
    assert response.content.endswith(b"data: [DONE]\n\n")
    assert [record["status"] for record in records_of(gateway, response, 2)] == [408, 200]


def test_a_stream_that_has_begun_is_not_tried_again(gateway: Gateway, token: str) -> None:
    body = chat("Count from 1 to 9. [[sandbox: cut-after=3]]", stream=True)
    response = gateway.post(token, CHAT_PATH, body, headers=retrying(3))
    stream_error(response.content)
    records_of(gateway, response, 1)


def test_a_connection_that_fails_is_tried_again(gateway: Gateway, token: str) -> None:
    """Nothing was sent, so nothing can cost twice: the caller's list of statuses is about answers."""
    gateway.installation.apply(provider("unreachable", "http://127.0.0.1:9/v1", models=[chat_model("m")]))
    wait_until(lambda: gateway.get(token, "/v1/models/unreachable/m").status_code == 200)
    response = gateway.post(token, CHAT_PATH, chat(model="unreachable/m"), headers=retrying(2, 429))
    assert response.status_code == 502
    assert [record["upstream_status"] for record in records_of(gateway, response, 3)] == [0, 0, 0]


# --- sums, and sudden death ---------------------------------------------------------------------------------


def test_the_report_is_the_sum_of_the_records(make_installation: InstallationMaker) -> None:
    installation = make_installation()
    tokens = [installation.do("token", email, user=email) for email in ("one@example.com", "two@example.com")]
    gateway = installation.gateway()
    for number, token in enumerate(tokens * 4):
        usage = f"prompt_tokens={101 + number} completion_tokens={7 * number} cached_tokens={number}"
        body = chat(f"hi [[sandbox: {usage}]]", model=CHAT if number % 3 else f"{ACCOUNT}/o4-mini")
        metadata = json.dumps({"project": "ab"[number % 2]})
        assert gateway.post(token, CHAT_PATH, body, headers={"x-tfy-metadata": metadata}).status_code == 200
    gateway.post(token, CHAT_PATH, chat("hi [[sandbox: status=500]]"))
    records = installation.records(9)

    def report(group: str) -> dict[str, Any]:
        return dict(
            json.loads(installation.do("manage", "usage_report", "--since=1h", f"--group-by={group}", "--json"))
        )

    def sums(rows: list[dict[str, Any]]) -> tuple[Any, ...]:
        cost = Decimal(sum(row["cost_pico"] or 0 for row in rows)) / PICO
        return len(rows), sum(row["input_tokens"] for row in rows), sum(row["output_tokens"] for row in rows), cost

    def told(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["attempts"], row["input_tokens"], row["output_tokens"], Decimal(row["cost"])

    assert told(report("user")["total"]) == sums(records)
    for group, column in (("user", "subject_name"), ("model", "model_asked"), ("account", "account")):
        by_name: dict[str, list[dict[str, Any]]] = {}
        for record in records:
            by_name.setdefault(record[column], []).append(record)
        found = {row[group]: told(row) for row in report(group)["rows"]}
        assert found == {name: sums(rows) for name, rows in by_name.items()}
    by_project = {row["metadata.project"]: row["attempts"] for row in report("metadata.project")["rows"]}
    assert by_project == {"a": 4, "b": 4, None: 1}
    assert sums(records)[3] > 0


def test_a_killed_process_leaves_every_record_once(
    make_installation: InstallationMaker, upstream: SandboxProcess
) -> None:
    installation = make_installation(
        env={"GATEHOUSE_USAGE_FLUSH_SECONDS": "60"}
    )  # so that nothing is stored before the end
    token = installation.do("token", "t", user=USER)
    gateway = installation.gateway()
    finished = {gateway.post(token, CHAT_PATH, chat()).headers["x-request-id"] for _ in range(20)}
    stream = gateway.sdk(token).chat.completions.create(**chat("hi [[sandbox: token-delay=20 endless]]"), stream=True)
    next(iter(stream))
    assert installation.records() == []

    gateway.kill()
    wait_until(lambda: upstream.requests()[-1]["disconnected"])
    again = installation.gateway(env={"GATEHOUSE_USAGE_FLUSH_SECONDS": "0.1"})
    records = installation.records(21)
    assert again.post(token, CHAT_PATH, chat()).status_code == 200
    records = installation.records(22)

    assert len(records) == 22
    assert len({record["id"] for record in records}) == 22
    interrupted = [record for record in records if record["error_class"] == "interrupted"]
    assert len(interrupted) == 1
    assert (interrupted[0]["model_asked"], interrupted[0]["stream"], interrupted[0]["cost_pico"]) == (CHAT, True, None)
    assert finished < {record["request_id"] for record in records}


def test_a_clean_end_leaves_nothing_in_the_spool(make_installation: InstallationMaker) -> None:
    installation = make_installation(env={"GATEHOUSE_USAGE_FLUSH_SECONDS": "60"})
    token = installation.do("token", "t", user=USER)
    gateway = installation.gateway()
    for _ in range(5):
        gateway.post(token, CHAT_PATH, chat())
    gateway.stop()

    assert len(installation.records()) == 5
    assert list((installation.data / "spool").iterdir()) == []
    assert installation.do("last_used", "t") is not None
