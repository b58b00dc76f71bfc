"""OpenAI's other resources through the gateway: every method of the SDK, plain and in its other forms."""

import io
import json
import zipfile
from typing import Any

import pytest
from openai import OpenAI

from tests.support.servers import wait_until
from tests.support.surface import Surface, picture

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
MODEL = "wide/gpt-4o-mini"


@pytest.fixture
def sdk(surface: Surface) -> OpenAI:
    """Ada's SDK. No header: only one of her accounts opens anything."""
    return surface.sdk()


@pytest.fixture
def file_id(surface: Surface) -> str:
    """A file of Ada's on the account."""
    made = surface.sdk(account="wide").files.create(
        file=("facts.txt", b"Gatehouse is a gateway."), purpose="assistants"
    )
    return made.id


def test_vector_stores(sdk: OpenAI, file_id: str) -> None:
    stores = sdk.vector_stores
    made = stores.create(name="facts", file_ids=[file_id])
    assert stores.retrieve(made.id).id == made.id
    assert stores.update(made.id, name="more facts").name == "more facts"
    assert made.id in [each.id for each in stores.list()]
    wait_until(lambda: stores.retrieve(made.id).status == "completed")
    assert stores.search(made.id, query="gateway").data
    second = sdk.files.create(
        file=("b.txt", b"More."), purpose="assistants", extra_headers={"x-tfy-provider-name": "wide"}
    )
    assert stores.files.create_and_poll(second.id, vector_store_id=made.id, poll_interval_ms=20).status == "completed"
    assert stores.files.retrieve(second.id, vector_store_id=made.id).id == second.id
    assert stores.files.update(second.id, vector_store_id=made.id, attributes={"a": "b"}).attributes == {"a": "b"}
    assert {each.id for each in stores.files.list(made.id, limit=1)} == {file_id, second.id}
    assert stores.files.content(second.id, vector_store_id=made.id).data[0].text == "More."
    assert stores.files.delete(second.id, vector_store_id=made.id).deleted
    batch = stores.file_batches.create(made.id, file_ids=[second.id])
    assert stores.file_batches.retrieve(batch.id, vector_store_id=made.id).id == batch.id
    assert [each.id for each in stores.file_batches.list_files(batch.id, vector_store_id=made.id)] == [second.id]
    assert stores.file_batches.cancel(batch.id, vector_store_id=made.id).id == batch.id
    assert stores.delete(made.id).deleted
    assert made.id not in [each.id for each in stores.list()]


def test_containers(sdk: OpenAI, file_id: str) -> None:
    made = sdk.containers.create(name="box", file_ids=[file_id])
    assert sdk.containers.retrieve(made.id).name == "box"
    assert made.id in [each.id for each in sdk.containers.list()]
    uploaded = sdk.containers.files.create(made.id, file=("a.json", b'{"a":1}'))
    assert sdk.containers.files.content.retrieve(uploaded.id, container_id=made.id).read() == b'{"a":1}'
    assert sdk.containers.files.retrieve(uploaded.id, container_id=made.id).id == uploaded.id
    named = sdk.containers.files.create(made.id, file_id=file_id)
    assert {uploaded.id, named.id} <= {each.id for each in sdk.containers.files.list(made.id)}
    sdk.containers.files.delete(uploaded.id, container_id=made.id)
    sdk.containers.delete(made.id)
    assert made.id not in [each.id for each in sdk.containers.list()]


GRADER: Any = {
    "type": "label_model",
    "name": "kind",
    "model": "wide/named-model",
    "input": [{"role": "user", "content": "{{ sample.output_text }}"}],
    "labels": ["good", "bad"],
    "passing_labels": ["good"],
}


def test_evals(surface: Surface, sdk: OpenAI) -> None:
    schema = {"type": "object", "properties": {"model": {"type": "string"}}}
    made = sdk.evals.create(
        name="e",
        data_source_config={"type": "custom", "item_schema": schema, "include_sample_schema": True},
        testing_criteria=[GRADER],
    )
    sent = json.loads(surface.upstream.requests("/v1/evals")[-1]["body"])
    assert sent["testing_criteria"][0]["model"] == "gpt-4o-mini"
    assert sent["data_source_config"]["item_schema"] == schema
    assert sdk.evals.retrieve(made.id).id == made.id
    assert sdk.evals.update(made.id, name="f").name == "f"
    assert made.id in [each.id for each in sdk.evals.list()]
    source: Any = {
        "type": "completions",
        "model": MODEL,
        "source": {"type": "file_content", "content": [{"item": {"model": "anything"}}]},
        "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{ item.model }}"}]},
    }
    run = sdk.evals.runs.create(made.id, data_source=source)
    assert sdk.evals.runs.retrieve(run.id, eval_id=made.id).id == run.id
    assert [each.id for each in sdk.evals.runs.list(made.id)] == [run.id]
    wait_until(lambda: sdk.evals.runs.retrieve(run.id, eval_id=made.id).status in ("completed", "failed"))
    items = list(sdk.evals.runs.output_items.list(run.id, eval_id=made.id))
    assert items
    assert sdk.evals.runs.output_items.retrieve(items[0].id, eval_id=made.id, run_id=run.id).id == items[0].id
    again = sdk.evals.runs.create(made.id, data_source=source)
    assert sdk.evals.runs.cancel(again.id, eval_id=made.id).id == again.id
    assert sdk.evals.runs.delete(run.id, eval_id=made.id).deleted
    assert sdk.evals.delete(made.id).deleted


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
def test_a_video_without_a_model(surface: Surface, sdk: OpenAI, form: bool) -> None:
    more: Any = {"input_reference": ("a.png", picture(720, 1280))} if form else {}
    record = surface.record("video.create", lambda: sdk.videos.create(prompt="A cat.", seconds="8", **more))
    assert (record["model_asked"], record["model_served"]) == ("wide/sora-2", "sora-2")
    assert record["cost_pico"] == 800_000_000_000
    (sent,) = surface.upstream.requests()
    assert b"sora-2" in sent["body"]


def test_a_limited_token_makes_no_video_of_another_model(surface: Surface) -> None:
    token = surface.gateway.token("no-video", ["wide/gpt-4o-mini"], user="ada@example.com")
    headers = {"x-tfy-provider-name": "wide"}
    answer = surface.gateway.post(token, "/v1/videos", {"prompt": "A cat."}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "missing_required_parameter")
    assert surface.upstream.requests() == []


def test_videos(surface: Surface, sdk: OpenAI) -> None:
    record = surface.record(
        "video.create", lambda: sdk.videos.create(model="wide/sora-2", prompt="A cat.", seconds="8")
    )
    assert record["units"] == {"video_seconds:720x1280": 8}
    assert record["cost_pico"] == 800_000_000_000
    with_picture = sdk.videos.create(
        model="wide/sora-2", prompt="A dog.", input_reference=("a.png", picture(720, 1280))
    )
    made = sdk.videos.create_and_poll(model="wide/sora-2", prompt="A cat.", poll_interval_ms=50)
    assert made.status == "completed"
    assert {made.id, with_picture.id} <= {each.id for each in sdk.videos.list()}
    assert sdk.videos.retrieve(made.id).id == made.id
    assert len(sdk.videos.download_content(made.id).read()) > 100
    remixed = surface.record("video.remix.create", lambda: sdk.videos.remix(made.id, prompt="Now at night."))
    assert remixed["cost_pico"] == 400_000_000_000
    edit = {"prompt": "Darker.", "video": {"id": made.id}}  # the SDK itself takes no ids here yet
    edited = surface.record("video.edits.create", lambda: surface.gateway.post(surface.ada, "/v1/videos/edits", edit))
    assert edited["cost_pico"] == 400_000_000_000
    extended = sdk.videos.extend(
        prompt="Longer.", seconds="4", video=("a.mp4", sdk.videos.download_content(made.id).read())
    )
    assert extended.id in [each.id for each in sdk.videos.list()]
    looked = surface.record("video.retrieve", lambda: sdk.videos.retrieve(made.id))
    assert (looked["cost_pico"], looked["units"]) == (0, {})
    character = sdk.videos.create_character(name="Tom", video=("tom.mp4", sdk.videos.download_content(made.id).read()))
    assert sdk.videos.get_character(str(character.id)).id == character.id
    assert sdk.videos.delete(made.id).deleted


def test_skills(sdk: OpenAI) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("greet/SKILL.md", "---\nname: greet\ndescription: Greets people.\n---\nSay hello.\n")
    skill = sdk.skills.create(files=("greet.zip", archive.getvalue()))
    assert sdk.skills.retrieve(skill.id).id == skill.id
    assert skill.id in [each.id for each in sdk.skills.list()]
    assert sdk.skills.content.retrieve(skill.id).read()
    version = sdk.skills.versions.create(skill.id, files=("greet.zip", archive.getvalue()))
    assert sdk.skills.versions.retrieve(version.version, skill_id=skill.id).version == version.version
    assert sdk.skills.versions.list(skill.id).data
    assert sdk.skills.versions.content.retrieve(version.version, skill_id=skill.id).read()
    assert sdk.skills.update(skill.id, default_version=version.version).id == skill.id
    sdk.skills.update(skill.id, default_version="1")
    assert sdk.skills.versions.delete(version.version, skill_id=skill.id).deleted
    assert sdk.skills.delete(skill.id).deleted


def test_assistants_and_threads(surface: Surface, sdk: OpenAI) -> None:
    beta = sdk.beta
    assistant = beta.assistants.create(model=MODEL, name="helper")
    assert beta.assistants.retrieve(assistant.id).model == "gpt-4o-mini"
    assert beta.assistants.update(assistant.id, name="other").name == "other"
    assert assistant.id in [each.id for each in beta.assistants.list()]
    thread = beta.threads.create(messages=[{"role": "user", "content": "Count from 1 to 5."}])
    assert beta.threads.retrieve(thread.id).id == thread.id
    assert beta.threads.update(thread.id, metadata={"a": "b"}).metadata == {"a": "b"}
    message = beta.threads.messages.create(thread.id, role="user", content="Say hi in French.")
    assert beta.threads.messages.retrieve(message.id, thread_id=thread.id).id == message.id
    assert beta.threads.messages.update(message.id, thread_id=thread.id, metadata={"a": "b"}).metadata == {"a": "b"}
    assert len(list(beta.threads.messages.list(thread.id))) == 2
    run = beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=20)
    assert run.status == "completed"
    assert beta.threads.runs.update(run.id, thread_id=thread.id, metadata={"a": "b"}).metadata == {"a": "b"}
    assert [each.id for each in beta.threads.runs.list(thread.id)] == [run.id]
    (step,) = beta.threads.runs.steps.list(run.id, thread_id=thread.id)
    assert beta.threads.runs.steps.retrieve(step.id, thread_id=thread.id, run_id=run.id).id == step.id
    assert beta.threads.messages.delete(message.id, thread_id=thread.id).deleted
    assert beta.threads.delete(thread.id).deleted
    assert beta.assistants.delete(assistant.id).deleted


def test_streamed_runs_are_paid_by_their_assistants_model(surface: Surface, sdk: OpenAI) -> None:
    assistant = sdk.beta.assistants.create(model=MODEL)
    kinds: list[str] = []

    def run() -> None:
        thread: Any = {"messages": [{"role": "user", "content": "Count from 1 to 5."}]}
        stream = sdk.beta.threads.create_and_run(assistant_id=assistant.id, thread=thread, stream=True)
        events = list(stream)
        kinds.extend(event.event for event in events)
        made = next(event.data.id for event in events if event.event == "thread.created")
        assert sdk.beta.threads.retrieve(made).id == made

    record = surface.record("thread.runs.create", run)
    assert kinds[0] == "thread.created"
    assert "thread.run.completed" in kinds
    assert record["output_tokens"] > 0
    assert record["cost_pico"] > 0
    assert record["stream"] is True


TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}


async def test_tools_of_a_run(surface: Surface) -> None:
    async with surface.async_sdk() as client:
        beta = client.beta
        assistant = await beta.assistants.create(model=MODEL, tools=[TOOL])
        thread = await beta.threads.create(messages=[{"role": "user", "content": "What's the weather? get_weather"}])
        async with beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
            await stream.until_done()
            run = stream.current_run
        assert run is not None
        if run.required_action is not None:
            calls = run.required_action.submit_tool_outputs.tool_calls
            outputs: Any = [{"tool_call_id": call.id, "output": "sunny"} for call in calls]
            done = await beta.threads.runs.submit_tool_outputs(run.id, thread_id=thread.id, tool_outputs=outputs)
            assert done.id == run.id
        second = await beta.threads.runs.create(thread.id, assistant_id=assistant.id, model="wide/gpt-4o", stream=False)
        assert second.model == "gpt-4o"
        assert (await beta.threads.runs.cancel(second.id, thread_id=thread.id)).id == second.id


async def test_the_other_forms(surface: Surface, sdk: OpenAI) -> None:
    raw = sdk.vector_stores.with_raw_response.create(name="raw")
    store = raw.parse()
    assert raw.headers["x-tfy-resolved-model"] == "wide"
    with sdk.vector_stores.with_streaming_response.retrieve(store.id) as response:
        assert response.parse().id == store.id
    async with surface.async_sdk() as client:
        assert (await client.vector_stores.retrieve(store.id)).id == store.id
        assert store.id in [each.id async for each in client.vector_stores.list(limit=1)]
        assert (await client.vector_stores.with_raw_response.delete(store.id)).parse().deleted
