"""Objects that are chosen by a filter or a group may be anyone's: only an account that shares everything takes such
calls.
"""

from typing import Any

import msgspec
import pytest

from gateway.call.errors import Forbidden, InvalidRequest
from gateway.objects.selection import check, check_path
from tests.gateway.endpoints.test_resources_access import send
from tests.support.calls import assert_ours
from tests.support.snapshots import account, caller
from tests.support.surface import Surface

CHOOSING: list[tuple[str, dict[str, Any]]] = [
    ("evals", {"data_source_config": {"type": "stored_completions", "metadata": {}}}),
    ("evals", {"data_source_config": {"type": "logs"}}),
    ("evals/runs", {"data_source": {"type": "completions", "source": {"type": "stored_completions"}}}),
    ("evals/runs", {"data_source": {"type": "responses", "source": {"type": "responses"}}}),
    ("evals/runs", {"data_source": {"source": [{"type": "responses"}]}}),
    ("evals/runs", {"data_source": {"type": "responses", "source": {"metadata": {"a": "b"}, "created_after": 1}}}),
    ("evals/runs", {"data_source": {"type": "completions", "source": {"type": "logs"}}}),
    ("evals/runs", {"data_source": {"type": "completions", "source": {"type": "Stored_Completions"}}}),
    ("evals/runs", {"data_source": {"type": "completions", "source": {"type": "conversations", "filter": {}}}}),
    ("evals/runs", {"data_source": {"type": "responses"}}),
    ("evals", {"data_source_config": {"metadata": {}}}),
    ("evals", {"data_source_config": {"type": ["custom"]}}),
    ("chatkit/sessions", {"user": "bob@example.com"}),
    ("chatkit/sessions", {"user": ["ada@example.com", "bob@example.com"]}),
    ("chatkit/sessions", {"user": 7}),
    ("webhook_endpoints", {"name": "a", "url": "https://hooks.example.com"}),
    ("webhook_endpoints", {}),
]
PLAIN: list[tuple[str, dict[str, Any]]] = [
    ("evals", {"data_source_config": {"type": "custom", "item_schema": {}}}),
    ("evals", {"metadata": {"type": "logs"}}),
    ("evals/runs", {"data_source": {"source": {"type": "file_id", "id": "file-1"}}}),
    ("evals/runs", {"data_source": {"type": "responses", "source": {"type": "file_content"}}}),
    ("chatkit/sessions", {"user": "ada@example.com"}),
    ("chatkit/sessions/cancel", {}),
    ("vector_stores/search", {"filters": {"type": "eq"}}),
]


def fields(body: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in body.items()}


@pytest.mark.parametrize(
    ("operation", "name", "raw"),
    [
        ("evals", "data_source_config", b'{"type":"logs","type":"custom"}'),
        ("evals/runs", "data_source", b'{"source":{"type":"responses","type":"file_id"}}'),
        ("evals/runs", "data_source", b'{"source":{"type":"responses"}, "source":{}}'),
    ],
)
def test_a_choice_that_is_given_twice_is_refused(operation: str, name: str, raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="given twice"):
        check(caller(), account(), "POST", operation, {name: msgspec.Raw(raw)})


@pytest.mark.parametrize("isolation", ["owner", "team", "account"])
@pytest.mark.parametrize(("operation", "body"), CHOOSING)
def test_what_chooses_among_everybodys_objects(operation: str, body: dict[str, Any], isolation: str) -> None:
    ada, here = caller(subject_name="ada@example.com"), account(isolation=isolation)
    if isolation == "account":
        check(ada, here, "POST", operation, fields(body))
    else:
        with pytest.raises(Forbidden) as refused:
            check(ada, here, "POST", operation, fields(body))
        assert refused.value.code == "selects_objects_of_others"


@pytest.mark.parametrize(("operation", "body"), CHOOSING)
def test_the_vendors_own_paths_choose_no_more(operation: str, body: dict[str, Any]) -> None:
    ada = caller(subject_name="ada@example.com")
    for path in (f"v1/{operation}", f"openai/v1/{operation.replace('/', '/x1/')}", f"V1/{operation}/y2".upper()):
        for said in (fields(body), {}):
            with pytest.raises(Forbidden):
                check_path(ada, account(), path, said)
        check_path(ada, account(isolation="account"), path, fields(body))
    check_path(ada, account(), "v1/chat/completions", fields(body))


@pytest.mark.parametrize(("operation", "body"), PLAIN)
def test_what_names_its_objects(operation: str, body: dict[str, Any]) -> None:
    check(caller(subject_name="ada@example.com"), account(), "POST", operation, fields(body))
    if body:
        check_path(caller(subject_name="ada@example.com"), account(), f"v1/{operation}", fields(body))


def test_over_http(surface: Surface) -> None:
    """Nothing of a refused call reaches the upstream."""
    eval_id = (
        surface.sdk(account="wide")
        .evals.create(
            name="own",
            data_source_config={"type": "custom", "item_schema": {"type": "object"}},
            testing_criteria=[{"type": "string_check", "name": "a", "input": "a", "reference": "a", "operation": "eq"}],
        )
        .id
    )
    surface.upstream.clear()
    for operation, body in CHOOSING:
        path = operation.replace("evals/runs", f"evals/{eval_id}/runs")
        answer = send(surface, surface.ada, "POST", path, body, x_tfy_provider_name="wide")
        assert_ours(answer, 403, "selects_objects_of_others", answer.json()["error"]["param"])
    assert surface.upstream.requests() == []
