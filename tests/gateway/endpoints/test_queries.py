"""The query API through the front door: by token, for those who may see it, in the ids of traces."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.support.calls import CHAT_PATH, assert_ours, chat
from tests.support.fixtures import ACCOUNT, CHAT, USER, InstallationMaker
from tests.support.installation import Gateway
from tests.support.servers import wait_until

SPANS, METRICS = "/api/svc/v1/spans/query", "/api/svc/v1/llm-gateway/metrics/query"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def since() -> str:
    return (datetime.now(UTC) - timedelta(hours=1)).isoformat()


def spans(gateway: Gateway, token: str, **query: Any) -> list[dict[str, Any]]:
    response = gateway.post(token, SPANS, {"startTime": since(), **query})
    assert response.status_code == 200, response.text
    return list(response.json()["data"])


def target_of(response: httpx.Response) -> dict[str, str]:
    found: dict[str, str] = json.loads(base64.b64decode(response.headers["x-tfy-feedback-target-id"]))
    return found


def test_a_call_is_found_by_what_its_answer_says(gateway: Gateway, token: str) -> None:
    for headers in ({}, {"traceparent": PARENT}):
        response = gateway.post(token, CHAT_PATH, chat("hi [[sandbox: prompt_tokens=7]]"), headers=headers)
        gateway.installation.records(1, request_id=response.headers["x-request-id"])
        target = target_of(response)
        found = spans(gateway, token, traceIds=[target["traceId"]])
        mine = [span for span in found if target["spanId"] in (span["spanId"], span["parentSpanId"])]
        root, attempt = sorted(mine, key=lambda span: span["parentSpanId"])
        assert root["spanId"] == target["spanId"]
        assert attempt["spanAttributes"]["tfy.model.metric.input_tokens"] == 7
        assert attempt["spanAttributes"]["tfy.request.model_name"] == CHAT
        assert root["createdBySubject"]["subjectSlug"] == USER


def test_everyone_sees_what_they_may(make_installation: InstallationMaker) -> None:
    gateway = make_installation().gateway()
    ada, bob = gateway.token("ada", user="ada@x.example"), gateway.token("bob", user="bob@x.example")
    bot = gateway.token("bot", virtual_account="bot")
    gateway.installation.do("user", "root@x.example", is_superuser=True)
    root = gateway.token("root", user="root@x.example")
    narrow = gateway.token("narrow", limits=["foreign"], user="ada@x.example")
    for each in (ada, bob, bob):
        assert gateway.post(each, CHAT_PATH, chat()).status_code == 200
    gateway.installation.records(3)

    def seen(token: str) -> int:
        body = {"startTs": since(), "aggregations": [{"type": "count", "column": "modelName"}]}
        response = gateway.post(token, METRICS, body)
        assert response.status_code == 200, response.text
        assert (
            len(spans(gateway, token)) == 2 * response.json()["data"]["dataPoints"][0]["total"]
            if (response.json()["data"]["dataPoints"])
            else not spans(gateway, token)
        )
        return sum(point["total"] for point in response.json()["data"]["dataPoints"])

    assert (seen(ada), seen(bob), seen(bot), seen(narrow), seen(root)) == (1, 2, 0, 0, 3)
    gateway.installation.do("grant", ACCOUNT, "user:ada@x.example", role="manager")
    wait_until(lambda: seen(ada) == 3)
    assert seen(bob) == 2


def test_bad_queries_are_answered_in_one_form(gateway: Gateway, token: str) -> None:
    bad = gateway.post(token, SPANS, {"startTime": "x"})
    assert_ours(bad, 400, "invalid_query", "startTime")
    assert_ours(gateway.post(token, METRICS, content=b"[1]"), 400, "invalid_json")
    assert_ours(gateway.post("gh-nothing", SPANS, {}), 401, "invalid_api_key")
    assert gateway.get(token, SPANS).status_code == 405
