"""Runs that are polled, of threads and of evals: each is charged once, at its end, by the first poll or retrieval."""

from typing import Any

import pytest
from openai import OpenAI

from tests.support.servers import wait_until
from tests.support.surface import Surface

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
MODEL = "wide/gpt-4o-mini"
OVER = ("completed", "failed", "canceled", "cancelled")
TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture
def sdk(surface: Surface) -> OpenAI:
    return surface.sdk()


def charges(surface: Surface, run_id: str, count: int = 1) -> list[dict[str, Any]]:
    """The records that charge a run, once it was polled twice."""
    for _ in range(2):
        surface.installation.do("age_objects", 10, object_id=run_id)
        surface.installation.do("poll_background")
    found: list[dict[str, Any]] = surface.installation.records(count, object_id=run_id)
    return found


def ask(content: str) -> Any:
    return [{"role": "user", "content": content}]


def test_a_polled_run_is_charged_when_it_is_over(surface: Surface, sdk: OpenAI) -> None:
    runs, made = sdk.beta.threads.runs, []
    assistant = sdk.beta.assistants.create(model=MODEL)
    thread = sdk.beta.threads.create(messages=ask("Count from 1 to 5."))
    headers = {"x-tfy-metadata": '{"project": "polled"}'}

    def run() -> None:
        polled = runs.create_and_poll(
            thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=20, extra_headers=headers
        )
        made.append(polled)

    begun = surface.record("thread.runs.create", run)
    assert (begun["cost_pico"], begun["output_tokens"]) == (0, 0)  # what it used is charged by the next record
    (charge,) = charges(surface, made[0].id)
    assert (charge["operation"], charge["endpoint"]) == ("polled_run", "threads/{id}/runs")
    assert (charge["input_tokens"], charge["output_tokens"]) == (
        made[0].usage.prompt_tokens,
        made[0].usage.completion_tokens,
    )
    assert charge["output_tokens"] > 0
    assert charge["cost_pico"] > 0
    assert (charge["model_served"], charge["metadata"]) == ("gpt-4o-mini", {"project": "polled"})
    assert (charge["request_id"], charge["subject_name"]) == (begun["request_id"], "ada@example.com")


def test_a_run_that_waits_for_a_tool_is_charged_once(surface: Surface, sdk: OpenAI) -> None:
    """Also when its end is streamed: the usage that the stream reports is that of the whole run."""
    runs = sdk.beta.threads.runs
    assistant = sdk.beta.assistants.create(model=MODEL, tools=[TOOL])
    thread: Any = {"messages": ask("What's the weather? get_weather")}
    run = sdk.beta.threads.create_and_run_poll(assistant_id=assistant.id, thread=thread, poll_interval_ms=20)
    assert run.required_action is not None
    assert charges(surface, run.id, 0) == []
    outputs: Any = [
        {"tool_call_id": each.id, "output": "sunny"} for each in run.required_action.submit_tool_outputs.tool_calls
    ]

    def submit() -> None:
        stream = runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=outputs, stream=True)
        assert "thread.run.completed" in [event.event for event in stream]

    submitted = surface.record("thread.runs.submit_tool_outputs.create", submit)
    assert (submitted["cost_pico"], submitted["output_tokens"]) == (0, 0)
    (charge,) = charges(surface, run.id)
    assert charge["cost_pico"] > 0


def test_a_streamed_run_is_not_charged_again(surface: Surface, sdk: OpenAI) -> None:
    assistant = sdk.beta.assistants.create(model=MODEL)
    thread = sdk.beta.threads.create(messages=ask("Count from 1 to 5."))
    with sdk.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
        run: Any = stream.get_final_run()
    assert charges(surface, run.id, 0) == []
    assert surface.installation.do("owned", object_id=run.id)[0]["due_at"] is None


def test_a_run_that_the_vendor_forgot_is_unpriced(surface: Surface, sdk: OpenAI) -> None:
    assistant = sdk.beta.assistants.create(model=MODEL)
    thread = sdk.beta.threads.create(messages=ask("Count from 1 to 5."))
    run = sdk.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    surface.upstream.client().beta.threads.delete(thread.id)
    for _ in range(2):
        charges(surface, run.id, 0)
    (charge,) = surface.installation.records(1, object_id=run.id)
    assert (charge["cost_pico"], charge["error_class"], charge["upstream_status"]) == (None, "run_unknown", 404)


def test_a_run_of_an_eval_is_charged_by_its_models(surface: Surface, sdk: OpenAI) -> None:
    grader: Any = {"type": "string_check", "name": "g", "input": "a", "reference": "a", "operation": "eq"}
    config: Any = {"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": True}
    made = sdk.evals.create(data_source_config=config, testing_criteria=[grader])
    source: Any = {
        "type": "completions",
        "model": MODEL,
        "source": {"type": "file_content", "content": [{"item": {"a": "hi"}}, {"item": {"a": "ho"}}]},
        "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{ item.a }}"}]},
    }
    begun_runs: list[str] = []
    begun = surface.record(
        "eval.runs.create", lambda: begun_runs.append(sdk.evals.runs.create(made.id, data_source=source).id)
    )
    assert begun["cost_pico"] == 0
    wait_until(lambda: sdk.evals.runs.retrieve(begun_runs[0], eval_id=made.id).status in OVER)
    usage = sdk.evals.runs.retrieve(begun_runs[0], eval_id=made.id).per_model_usage[0]
    (charge,) = charges(surface, begun_runs[0])
    assert (charge["operation"], charge["model_served"]) == ("eval_run", usage.to_dict()["model_name"])
    assert (charge["input_tokens"], charge["output_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)
    assert charge["cost_pico"] > 0
    nothing: Any = {"type": "jsonl", "source": {"type": "file_content", "content": [{"item": {"a": "hi"}}]}}
    silent = sdk.evals.runs.create(made.id, data_source=nothing)
    wait_until(lambda: sdk.evals.runs.retrieve(silent.id, eval_id=made.id).status in OVER)
    assert (
        charges(surface, silent.id)[0]["cost_pico"] is None
    )  # it names no model, and what its graders cost is not reported
