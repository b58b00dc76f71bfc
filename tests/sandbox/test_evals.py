"""Evals, their runs and what came out, through the SDK."""

from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.openapi import assert_valid
from tests.support.sandbox_jobs import jsonl, until, upload
from tests.support.sandbox_process import SandboxProcess

SCHEMA = {"type": "object", "properties": {"question": {"type": "string"}, "answer": {"type": "string"}}}
CONFIG: Any = {"type": "custom", "item_schema": SCHEMA, "include_sample_schema": True}
CRITERIA: Any = [
    {
        "type": "string_check",
        "name": "exact",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
        "operation": "eq",
    }
]
ROWS = [
    {"item": {"question": "What is 2 + 3?", "answer": "5"}},
    {"item": {"question": "What is 2 + 3?", "answer": "6"}},
]
ASKING: Any = {
    "type": "completions",
    "model": "gpt-4o-mini",
    "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{item.question}}"}]},
    "source": {"type": "file_content", "content": ROWS},
}


def made(client: OpenAI) -> Any:
    raw = client.evals.with_raw_response.create(name="sums", data_source_config=CONFIG, testing_criteria=CRITERIA)
    assert raw.status_code == 201
    assert_valid("Eval", raw.http_response.json())
    return raw.parse()


def valid_run(shape: dict[str, Any]) -> None:
    """OpenAI's examples of a run have a null where its schema wants an error."""
    assert_valid("EvalRun", {**shape, "error": shape["error"] or {"code": "", "message": ""}})


def test_the_life_of_an_eval(quick_client: OpenAI) -> None:
    evaluation = made(quick_client)
    evals = quick_client.evals
    assert set(evaluation.data_source_config.schema_["properties"]) == {"item", "sample"}
    assert evals.retrieve(evaluation.id).to_dict() == evaluation.to_dict()
    assert evals.update(evaluation.id, name="other", metadata={"a": "b"}).name == "other"
    assert evaluation.id in [item.id for item in evals.list(limit=1)]
    assert evals.delete(evaluation.id).deleted
    with pytest.raises(NotFoundError):
        evals.retrieve(evaluation.id)


def test_a_run_asks_and_grades(quick_client: OpenAI) -> None:
    evaluation = made(quick_client)
    runs = quick_client.evals.runs
    raw = runs.with_raw_response.create(evaluation.id, data_source=ASKING, name="first")
    assert raw.status_code == 201
    valid_run(raw.http_response.json())
    run = until(
        lambda: runs.retrieve(raw.parse().id, eval_id=evaluation.id), lambda answer: answer.status == "completed"
    )
    valid_run(runs.with_raw_response.retrieve(run.id, eval_id=evaluation.id).http_response.json())
    assert run.result_counts.to_dict() == {"total": 2, "errored": 0, "failed": 1, "passed": 1}
    assert run.per_model_usage[0].invocation_count == 2
    assert run.per_model_usage[0].total_tokens > 0
    assert (run.per_testing_criteria_results[0].passed, run.per_testing_criteria_results[0].failed) == (1, 1)

    outputs = list(runs.output_items.list(run.id, eval_id=evaluation.id, limit=1))
    assert [item.status for item in outputs] == ["pass", "fail"]
    assert outputs[0].sample.output[0].content == "5"
    one = runs.output_items.with_raw_response.retrieve(outputs[0].id, eval_id=evaluation.id, run_id=run.id)
    shape = one.http_response.json()
    assert shape["sample"]["error"] is None  # as in OpenAI's example, against its schema
    shape["sample"]["error"] = {"code": "", "message": ""}
    assert_valid("EvalRunOutputItem", shape)
    assert [item.id for item in runs.output_items.list(run.id, eval_id=evaluation.id, status="fail")] == [outputs[1].id]
    assert [item.id for item in runs.list(evaluation.id, status="completed")] == [run.id]
    assert runs.delete(run.id, eval_id=evaluation.id).deleted
    assert list(runs.list(evaluation.id)) == []


def test_samples_may_be_in_a_file(quick_client: OpenAI) -> None:
    evaluation = made(quick_client)
    rows = [{"item": {"answer": "yes"}, "sample": {"output_text": text}} for text in ("yes", "no", "yes")]
    file = upload(quick_client, jsonl(rows), "evals")
    source: Any = {"type": "jsonl", "source": {"type": "file_id", "id": file.id}}
    run = quick_client.evals.runs.create(evaluation.id, data_source=source)
    run = until(
        lambda: quick_client.evals.runs.retrieve(run.id, eval_id=evaluation.id),
        lambda answer: answer.status == "completed",
    )
    assert (run.result_counts.passed, run.result_counts.failed) == (2, 1)


def test_a_run_can_be_cancelled(client: OpenAI, sandbox: SandboxProcess) -> None:
    evaluation = made(client)
    run = client.evals.runs.create(evaluation.id, data_source=ASKING)
    assert client.evals.runs.cancel(run.id, eval_id=evaluation.id).status == "canceled"
    with pytest.raises(BadRequestError, match="Cannot cancel a run with status 'canceled'"):
        client.evals.runs.cancel(run.id, eval_id=evaluation.id)
    assert sandbox.http.post(f"{sandbox.url}/evals/{evaluation.id}/runs/{run.id}").status_code == 400


def test_errors_are_counted(quick_client: OpenAI) -> None:
    evaluation = made(quick_client)
    run = quick_client.evals.runs.create(evaluation.id, data_source={**ASKING, "model": "gpt-99"})
    run = until(
        lambda: quick_client.evals.runs.retrieve(run.id, eval_id=evaluation.id),
        lambda answer: answer.status == "completed",
    )
    assert run.result_counts.errored == 2
    [first, _] = quick_client.evals.runs.output_items.list(run.id, eval_id=evaluation.id)
    assert first.sample.error.code == "model_not_found"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"testing_criteria": []}, "data_source_config"),
        ({"data_source_config": {"type": "custom"}, "testing_criteria": []}, "item_schema"),
        ({"data_source_config": CONFIG, "testing_criteria": [{"type": "x"}]}, "testing_criteria[0].type"),
    ],
)
def test_bad_evals_are_refused(sandbox: SandboxProcess, body: dict[str, Any], param: str) -> None:
    answer = sandbox.post("/evals", body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
