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
FEEDBACK = "/api/svc/v1/gateway-feedback"
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
        return sum(point["total"] for point in response.json()["data"]["dataPoints"])

    for each in (ada, bob, bot, narrow, root):
        assert len(spans(gateway, each)) == 2 * seen(each)
    assert (seen(ada), seen(bob), seen(bot), seen(narrow), seen(root)) == (1, 2, 0, 0, 3)
    gateway.installation.do("grant", ACCOUNT, "user:ada@x.example", role="manager")
    wait_until(lambda: seen(ada) == 3)
    assert len(spans(gateway, ada)) == 6
    assert seen(bob) == 2


def test_bad_queries_are_answered_in_one_form(gateway: Gateway, token: str) -> None:
    bad = gateway.post(token, SPANS, {"startTime": "x"})
    assert_ours(bad, 400, "invalid_query", "startTime")
    assert_ours(gateway.post(token, METRICS, content=b"[1]"), 400, "invalid_json")
    assert_ours(gateway.post("gh-nothing", SPANS, {}), 401, "invalid_api_key")
    assert gateway.get(token, SPANS).status_code == 405


def test_feedback_on_a_call(make_installation: InstallationMaker) -> None:
    gateway = make_installation().gateway()
    ada, bob = gateway.token("ada", user="ada@x.example"), gateway.token("bob", user="bob@x.example")
    response = gateway.post(ada, CHAT_PATH, chat())
    target = {"feedbackTargetId": response.headers["x-tfy-feedback-target-id"]}
    gateway.installation.records(1)

    def send(token: str, method: str, **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"}
        return gateway.http.request(method, gateway.origin + FEEDBACK, json={"target": target, **body}, headers=headers)

    def said() -> list[tuple[int, str]]:
        (root,) = [span for span in spans(gateway, ada) if not span["parentSpanId"]]
        return [(each["rating"], each["comment"]) for each in root["tfyGatewayFeedbacks"]]

    assert_ours(send(ada, "PUT", rating=1), 404, "feedback_target_not_found", "target")
    created = send(ada, "POST", rating=4, comment="good", metadata={"page": "search"}).json()["data"]
    assert created["target"] == target_of(response)
    assert created["createdBySubject"]["subjectSlug"] == "ada@x.example"
    assert said() == [(4, "good")]
    assert send(ada, "PUT", rating=2).json()["data"]["comment"] == "good"
    assert send(ada, "POST", rating=5).status_code == 200
    assert said() == [(5, "")]
    for method, body in (("POST", {"rating": 1}), ("PUT", {"rating": 1}), ("DELETE", {})):
        assert_ours(send(bob, method, **body), 404, "feedback_target_not_found", "target")
    for body, param in (
        ({"rating": 6}, "rating"),
        ({"rating": True}, "rating"),
        ({}, "rating"),
        ({"rating": 3, "comment": 1}, "comment"),
        ({"rating": 3, "metadata": {"a": []}}, "metadata"),
        ({"rating": 3, "target": {"feedbackTargetId": "x"}}, "target"),
    ):
        assert_ours(send(ada, "POST", **body), 400, "invalid_query", param)
    assert send(ada, "DELETE").json()["data"] == {"deleted": True}
    assert said() == []
