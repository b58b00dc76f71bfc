"""ChatKit, provenance checks and safety as OpenAI describes them."""

import pytest
from openai import NotFoundError, OpenAI

from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess


def test_the_shapes_of_chatkit(client: OpenAI, sandbox: SandboxProcess) -> None:
    given = {"user": "shapes", "workflow": {"id": "wf_1"}, "expires_after": {"anchor": "created_at", "seconds": 60}}
    made = sandbox.post("/chatkit/sessions", given).json()
    assert_valid("ChatSessionResource", made)
    assert_valid("ChatSessionResource", sandbox.post(f"/chatkit/sessions/{made['id']}/cancel", {}).json())
    listed = sandbox.get("/chatkit/threads", user="shapes").json()
    assert_valid("ThreadListResource", listed)
    (thread,) = listed["data"]
    assert_valid("ThreadResource", sandbox.get(f"/chatkit/threads/{thread['id']}").json())
    assert_valid("ThreadItemListResource", sandbox.get(f"/chatkit/threads/{thread['id']}/items").json())
    deleted = client.beta.chatkit.threads.with_raw_response.delete(thread["id"])
    assert_valid("DeletedThreadResource", deleted.http_response.json())
    assert sandbox.get("/chatkit/threads", user="shapes").json()["data"] == []
    assert sandbox.post("/chatkit/sessions", {"user": "a"}).json()["error"]["param"] == "workflow"


@pytest.mark.parametrize(("content", "outcome"), [(b"plain", "not_detected"), (b"..c2pa..", "detected")])
def test_provenance_checks(sandbox: SandboxProcess, content: bytes, outcome: str) -> None:
    with sandbox.client(_strict_response_validation=True) as strict:
        made = strict.content_provenance_checks.create(file=("a.png", content))
    assert made.results[0].outcome == outcome


def test_there_is_one_alert_and_one_case(client: OpenAI) -> None:
    assert client.safety.alerts.retrieve("salert_sandbox").object == "safety.alert"
    with pytest.raises(NotFoundError):
        client.safety.alerts.retrieve("salert_other")
    with pytest.raises(NotFoundError):
        client.safety.cases.retrieve("salert_sandbox")
