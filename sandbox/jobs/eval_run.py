"""Running an eval: a sample for each row of its data, and a grade for each sample and criterion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from sandbox.errors import ApiError
from sandbox.jobs import grading
from sandbox.jobs.internal_request import ask
from sandbox.jobs.work import sleep_until
from sandbox.state import State
from sandbox.store import stored_files
from sandbox.store.objects import Item, add
from sandbox.wire.messages import Host, encode

MAX_ROWS = 1000
OUTPUT_ITEMS = "output_items"
STARTED = 0.2  # when a run leaves the queue, as a part of its time
Row = dict[str, Any]


async def run(app: Host, evaluation: Item, work: Item, ends: float) -> None:
    """Carries a run from queued to completed. `ends` is by the sandbox's clock."""
    state, shape = app.state, work.shape
    begun = state.now()
    await sleep_until(state, begun + (ends - begun) * STARTED, lambda: shape["status"] == "queued")
    if shape["status"] != "queued":
        return
    shape["status"] = "in_progress"
    await sleep_until(state, ends, lambda: shape["status"] == "in_progress")
    for number, row in enumerate(work.inner):
        if shape["status"] != "in_progress":
            return
        sample = await _sample(app, shape["data_source"], row)
        _record(state, evaluation.shape["testing_criteria"], work, number, row, sample)
    shape["status"] = "completed"


def fail(run: Item, message: str) -> None:
    """Ends a run that was not to end like this."""
    run.shape.update(status="failed", error={"code": "server_error", "message": message})


def rows(state: State, data_source: Mapping[str, Any]) -> list[Row]:
    """The rows of a run's `source`, each `{"item": ..., "sample": ...}`; raises ApiError for a source that has none."""
    source = data_source.get("source")
    kind = source.get("type") if isinstance(source, dict) else None
    if isinstance(source, dict) and kind == "file_content":
        return [dict(row) for row in source.get("content", [])][:MAX_ROWS]
    if isinstance(source, dict) and kind == "file_id":
        lines = stored_files.find(state, str(source.get("id")), "data_source.source.id").lines()
        try:
            return [msgspec.json.decode(line, type=Row) for line in lines if line.strip()][:MAX_ROWS]
        except msgspec.DecodeError as error:
            raise ApiError("The file of an eval run must have a JSON object in each line.", param="source") from error
    raise ApiError("Give 'data_source.source' as 'file_content' or 'file_id'.", param="data_source.source")


async def _sample(app: Host, data_source: Mapping[str, Any], row: Row) -> dict[str, Any]:
    """What there is to grade: the row's own sample, or the answer of the sandbox's chat to the filled-in messages."""
    item = row.get("item", {})
    if data_source["type"] == "jsonl":
        text = str(row.get("sample", {}).get("output_text", ""))
        return _shown([], text, "", {}, None)
    messages = list(_messages(data_source.get("input_messages", {}), item))
    model = data_source.get("model") or "gpt-4o-mini"
    body = encode({"model": model, "messages": messages})
    answer = await ask(app, "/v1/chat/completions", body)
    decoded = msgspec.json.decode(answer.body)
    if answer.status != 200:
        error = decoded["error"]
        return _shown(messages, "", model, {}, {"code": error["code"] or "error", "message": error["message"]})
    return _shown(messages, decoded["choices"][0]["message"]["content"] or "", model, decoded["usage"], None)


def _messages(template: Mapping[str, Any], item: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for message in template.get("template", []):
        content = message.get("content", "")
        text = content if isinstance(content, str) else str(content.get("text", ""))
        yield {"role": message.get("role", "user"), "content": grading.filled(text, "", item)}


def _shown(
    messages: list[dict[str, str]], text: str, model: str, usage: Mapping[str, Any], error: dict[str, str] | None
) -> dict[str, Any]:
    """OpenAI's `sample` of an output item."""
    return {
        "input": messages,
        "output": [{"role": "assistant", "content": text}],
        "finish_reason": "stop",
        "model": model,
        "usage": {
            "total_tokens": usage.get("total_tokens", 0),
            "completion_tokens": usage.get("completion_tokens", 0),
            "prompt_tokens": usage.get("prompt_tokens", 0),
            "cached_tokens": 0,
        },
        "error": error,
        "temperature": 1.0,
        "max_completion_tokens": 2048,
        "top_p": 1.0,
        "seed": 42,
    }


def _record(
    state: State, criteria: list[dict[str, Any]], work: Item, number: int, row: Row, sample: dict[str, Any]
) -> None:
    """Grades a sample, and counts it."""
    text, results = sample["output"][0]["content"], []
    for index, grader in enumerate(criteria):
        points = grading.score(grader, text, row.get("item", {}))
        passed = sample["error"] is None and points >= grader.get("pass_threshold", 1 if points in (0, 1) else 0.5)
        results.append({"name": grader["name"], "type": grader["type"], "score": points, "passed": passed})
        work.shape["per_testing_criteria_results"][index]["passed" if passed else "failed"] += 1
    good = all(result["passed"] for result in results)
    work.shape["result_counts"]["errored" if sample["error"] else "passed" if good else "failed"] += 1
    _add_usage(work.shape["per_model_usage"], sample)
    shape = {
        "id": state.new_id("outputitem_", 32),
        "object": "eval.run.output_item",
        "created_at": state.created(),
        "run_id": work.id,
        "eval_id": work.shape["eval_id"],
        "status": "pass" if good else "fail",
        "datasource_item_id": number,
        "datasource_item": row.get("item", {}),
        "results": results,
        "sample": sample,
    }
    add(work.within(OUTPUT_ITEMS), shape)


def _add_usage(usages: list[dict[str, Any]], sample: dict[str, Any]) -> None:
    if not sample["model"]:
        return
    if not usages:
        usages.append({"model_name": sample["model"], "invocation_count": 0, **dict.fromkeys(sample["usage"], 0)})
    usages[0]["invocation_count"] += 1
    for name, count in sample["usage"].items():
        usages[0][name] += count
