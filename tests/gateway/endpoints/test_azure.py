"""Azure OpenAI as an upstream, on both of its surfaces, through OpenAI's SDK: what it has, and what it refuses.

The sandbox answers at Azure's own paths only, with a deployment and a version where Azure wants them.
"""

import base64
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from openai import BadRequestError, NotFoundError, OpenAI, RateLimitError

from tests.gateway.pipeline.test_usage_records import record_of
from tests.support.azure_spec import assert_azure, describes
from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.sandbox_process import KEY, SandboxProcess
from tests.support.talk import events_until

V1, DATED, SIGNED = "azure-v1", "azure-dated", "azure-signed"
SURFACES = {V1: "/openai/v1", DATED: "/openai"}
VERSION = "2025-04-01-preview"
MODELS = {
    "gpt-4o": ["chat", "responses", "batch"],
    "gpt-3.5-turbo-instruct": ["completion"],
    "text-embedding-3-small": ["embedding"],
    "gpt-image-1": ["image"],
    "gpt-4o-mini-tts": ["text_to_speech"],
    "whisper-1": ["audio_transcription", "audio_translation"],
    "gpt-4o-mini-2024-07-18": ["fine_tuning", "chat"],
    "omni-moderation-latest": ["moderation"],
    "gpt-realtime": ["realtime"],
    "sora-2": ["video"],
    "no-such-deployment": ["chat"],
}
HI: Any = [{"role": "user", "content": "Count from 1 to 3."}]
OPEN = ["vector_stores", "assistants", "containers", "evals", "videos", "agents"]
PNG = b"\x89PNG\r\n\x1a\n"
Call = Callable[[OpenAI, str], Any]
both = pytest.mark.parametrize("account", SURFACES)


def account(name: str, base_url: str, **fields: Any) -> dict[str, Any]:
    models = [
        {"type": "integration/model/azure-openai", "name": each, "model_types": as_} for each, as_ in MODELS.items()
    ]
    return provider(name, base_url, models=models, type="provider-account/azure-openai", open_resources=OPEN, **fields)


@pytest.fixture(scope="module")
def running(running_gateway: Gateway, running_upstream: SandboxProcess, user_token: str) -> Gateway:
    """The shared gateway with an account at each surface, and one that signs in with an application of Entra."""
    origin = running_upstream.origin
    entra = {"type": "entra", "tenant_id": "contoso.example", "client_id": "c-1", "client_secret": KEY}
    running_gateway.installation.apply(
        *(account(name, origin + place) for name, place in SURFACES.items()),
        account(SIGNED, f"{origin}/openai/v1", auth_data={**entra, "authority": origin}, api_version="preview"),
    )
    running_gateway.wait_for(user_token, *(f"{name}/gpt-4o" for name in (*SURFACES, SIGNED)))
    return running_gateway


@pytest.fixture
def sdk(running: Gateway, user_token: str) -> Iterator[OpenAI]:
    with running.sdk(user_token) as client:
        yield client


def on(sdk: OpenAI, name: str) -> OpenAI:
    """The client for calls that name no model."""
    return sdk.with_options(default_headers={"x-tfy-provider-name": name})


def sent(upstream: SandboxProcess, name: str) -> list[dict[str, Any]]:
    """What came upstream, every request at a path of Azure's, with the key in its own header and the version in the
    query.
    """
    found = [each for each in upstream.requests() if dict(each["headers"])["user-agent"] != "gatehouse"]  # which polls
    assert found
    for each in found:
        headers = dict(each["headers"])
        assert headers["api-key"] == KEY
        assert "authorization" not in headers
        place = each["path"].removeprefix(SURFACES[name])
        assert place != each["path"], each["path"]
        assert each["query"].count("api-version=") == (name == DATED)
        if name == DATED:
            assert f"api-version={VERSION}" in each["query"]
            assert describes("GET" if each["method"] == "WEBSOCKET" else each["method"], place) or place == "/realtime"
    return found


def deployed(name: str, model: str, path: str) -> str:
    """Where a call of a deployment goes."""
    return f"/openai/v1/{path}" if name == V1 else f"/openai/deployments/{model}/{path}"


@both
def test_chats(sdk: OpenAI, running: Gateway, upstream: SandboxProcess, account: str) -> None:
    raw = sdk.chat.completions.with_raw_response.create(model=f"{account}/gpt-4o", messages=HI)
    answer = raw.parse()
    assert answer.choices[0].message.content == "1 2 3"
    assert "content_filter_results" in answer.choices[0].model_dump()
    answered = json.loads(raw.content)
    assert answered.pop("provider") == "azure-openai"
    assert_azure("createChatCompletionResponse", answered)
    options: Any = {"stream_options": {"include_usage": True}}
    chunks = list(sdk.chat.completions.create(model=f"{account}/gpt-4o", messages=HI, stream=True, **options))
    assert chunks[0].model_dump()["prompt_filter_results"]
    assert not chunks[0].choices
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "1 2 3"
    assert chunks[-1].usage is not None
    first, second = sent(upstream, account)
    for each in (first, second):
        assert each["path"] == deployed(account, "gpt-4o", "chat/completions")
        assert_azure("createChatCompletionRequest", json.loads(each["body"]))
    [record] = running.installation.records(1, request_id=raw.headers["x-request-id"])
    assert answer.usage is not None
    assert (record["provider"], record["input_tokens"]) == ("azure-openai", answer.usage.prompt_tokens)
    assert record["cost_pico"] > 0


@both
def test_what_deployments_do(sdk: OpenAI, upstream: SandboxProcess, account: str) -> None:
    calls: dict[str, tuple[str, Call]] = {
        "completions": ("gpt-3.5-turbo-instruct", lambda sdk, model: sdk.completions.create(model=model, prompt="Hi")),
        "embeddings": ("text-embedding-3-small", lambda sdk, model: sdk.embeddings.create(model=model, input="a")),
        "images/generations": (
            "gpt-image-1",
            lambda sdk, model: sdk.images.generate(model=model, prompt="a cat", size="1024x1024", quality="low"),
        ),
        "audio/speech": (
            "gpt-4o-mini-tts",
            lambda sdk, model: sdk.audio.speech.create(model=model, voice="alloy", input="Hi", response_format="wav"),
        ),
    }
    spoken = b""
    for path, (model, call) in calls.items():
        upstream.clear()
        made = call(sdk, f"{account}/{model}")
        spoken = made.content if path == "audio/speech" else spoken
        [each] = sent(upstream, account)
        assert each["path"] == deployed(account, model, path)
        assert json.loads(each["body"])["model"] == model
    heard = {"model": f"{account}/whisper-1", "file": ("a.wav", spoken)}
    drawn = upstream.client().images.generate(model="gpt-image-1", prompt="a cat", size="1024x1024", quality="low")
    image = ("a.png", base64.b64decode((drawn.data or [])[0].b64_json or ""), "image/png")
    upstream.clear()
    sdk.audio.transcriptions.create(**heard)
    sdk.audio.translations.create(**heard)
    sdk.images.edit(model=f"{account}/gpt-image-1", prompt="a hat", image=image, size="1024x1024", quality="low")
    paths = [each["path"] for each in sent(upstream, account)]
    assert paths[:2] == [deployed(account, "whisper-1", f"audio/{what}") for what in ("transcriptions", "translations")]
    assert paths[2] == deployed(account, "gpt-image-1", "images/edits")


@both
def test_responses(sdk: OpenAI, running: Gateway, upstream: SandboxProcess, account: str) -> None:
    made = sdk.responses.create(model=f"{account}/gpt-4o", input="Count from 1 to 3.")
    assert made.output_text == "1 2 3"
    events = list(sdk.responses.create(model=f"{account}/gpt-4o", input="Hi", stream=True, store=False))
    assert events[-1].type == "response.completed"
    assert sdk.responses.retrieve(made.id).id == made.id
    assert sdk.responses.input_items.list(made.id).data
    if account == DATED:
        with pytest.raises(BadRequestError) as refused:
            sdk.responses.cancel(made.id)
        assert refused.value.code == "unsupported_by_provider"
    else:
        background = sdk.responses.create(model=f"{account}/gpt-4o", input="Hi", background=True)
        assert sdk.responses.cancel(background.id).status == "cancelled"
    sdk.responses.delete(made.id)
    bodies = [json.loads(each["body"]) for each in sent(upstream, account) if each["body"]]
    assert all(body["model"] == "gpt-4o" for body in bodies)


@both
def test_files_batches_and_fine_tuning(sdk: OpenAI, upstream: SandboxProcess, account: str) -> None:
    client = on(sdk, account)
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions"}
    lines = json.dumps({**line, "body": {"model": "gpt-4o", "messages": HI}}).encode()
    file = client.files.create(file=("in.jsonl", io.BytesIO(lines)), purpose="batch")
    assert client.files.retrieve(file.id).id == file.id
    assert client.files.content(file.id).content == lines
    assert [each.id for each in client.files.list()] == [file.id]
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert client.batches.retrieve(batch.id).id == batch.id
    client.batches.cancel(batch.id)
    example = {"messages": [*HI, {"role": "assistant", "content": "1 2 3"}]}
    training = ("train.jsonl", io.BytesIO(b"\n".join([json.dumps(example).encode()] * 10)))
    trained = client.files.create(file=training, purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model="gpt-4o-mini-2024-07-18", training_file=trained.id)
    assert client.fine_tuning.jobs.retrieve(job.id).id == job.id
    assert client.fine_tuning.jobs.list_events(job.id).data
    client.fine_tuning.jobs.checkpoints.list(job.id)
    client.fine_tuning.jobs.cancel(job.id)
    client.files.delete(file.id)
    sent(upstream, account)


@both
def test_resources(sdk: OpenAI, upstream: SandboxProcess, account: str) -> None:
    client = on(sdk, account)
    store = client.vector_stores.create(name="a")
    assert client.vector_stores.retrieve(store.id).id == store.id
    assistant = client.beta.assistants.create(model=f"{account}/gpt-4o")
    thread = client.beta.threads.create(messages=HI)
    run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    assert client.beta.threads.runs.retrieve(run.id, thread_id=thread.id).id == run.id
    client.beta.threads.runs.steps.list(run.id, thread_id=thread.id)
    client.vector_stores.delete(store.id)
    sent(upstream, account)


@both
def test_what_a_surface_lacks_is_refused_and_not_called(sdk: OpenAI, upstream: SandboxProcess, account: str) -> None:
    client = on(sdk, account)
    lacks: dict[str, Callable[[], Any]] = {
        "moderations": lambda: sdk.moderations.create(model=f"{account}/omni-moderation-latest", input="a"),
        "images/variations": lambda: sdk.images.create_variation(
            model=f"{account}/gpt-image-1", image=("a.png", PNG, "image/png")
        ),
        "agents": lambda: client.post("/agents", body={"model": f"{account}/gpt-4o"}, cast_to=object),
        "uploads": lambda: client.uploads.create(bytes=1, filename="a", mime_type="text/plain", purpose="batch"),
    }
    dated: dict[str, Callable[[], Any]] = {
        "containers": lambda: client.containers.create(name="a"),
        "videos": lambda: client.videos.create(model=f"{account}/sora-2", prompt="a cat"),
        "conversations": lambda: client.conversations.create(),
        "responses/compact": lambda: client.responses.compact(model=f"{account}/gpt-4o", input="Hi"),
    }
    for call in (lacks | dated if account == DATED else lacks).values():
        with pytest.raises(BadRequestError) as refused:
            call()
        assert refused.value.code == "unsupported_by_provider"
    assert all(dict(each["headers"])["user-agent"] == "gatehouse" for each in upstream.requests())
    if account == V1:
        for call in dated.values():
            call()
        sent(upstream, account)


@both
def test_errors(running: Gateway, sdk: OpenAI, upstream: SandboxProcess, account: str) -> None:
    if account == DATED:
        with pytest.raises(NotFoundError) as missing:
            sdk.chat.completions.create(model=f"{account}/no-such-deployment", messages=HI)
        assert (missing.value.code, missing.value.type) == ("model_not_found", "invalid_request_error")
        assert "deployment" in str(missing.value)

    def ask(directive: str) -> Any:
        said: Any = [{"role": "user", "content": f"hi [[sandbox: {directive}]]"}]
        return sdk.chat.completions.create(model=f"{account}/gpt-4o", messages=said)

    with pytest.raises(RateLimitError) as limited:
        ask("status=429 retry-after=7")
    assert (limited.value.code, limited.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert limited.value.response.headers["retry-after-ms"] == "7000"
    with pytest.raises(BadRequestError) as filtered:
        ask("status=400 code=content_filter")
    assert (filtered.value.code, filtered.value.param) == ("content_filter", "prompt")
    body: Any = filtered.value.body
    assert body["innererror"]["content_filter_result"]["violence"]["filtered"] is True


@both
def test_anthropics_client_with_a_deployment(running: Gateway, user_token: str, account: str) -> None:
    asked: Any = {"model": f"{account}/gpt-4o", "messages": HI, "max_tokens": 50}
    with anthropic.Anthropic(base_url=running.origin, api_key=user_token, max_retries=0) as client:
        assert client.messages.create(**asked).content
        with client.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    # What filters say of the prompt comes before any model is named.
    assert message.model == "gpt-4o-2024-08-06"
    answer = running.post(user_token, "/v1/messages", {**asked, "stream": True})
    assert record_of(running, answer)["cost_pico"] > 0


def test_an_application_of_entra_signs_in(sdk: OpenAI, upstream: SandboxProcess) -> None:
    assert sdk.chat.completions.create(model=f"{SIGNED}/gpt-4o", messages=HI).choices
    each = upstream.requests()[-1]
    headers = dict(each["headers"])
    assert (headers["authorization"], "api-key" in headers) == (f"Bearer {KEY}", False)
    assert (each["path"], each["query"]) == ("/openai/v1/chat/completions", "api-version=preview")


@both
async def test_sockets(running: Gateway, user_token: str, upstream: SandboxProcess, account: str) -> None:
    address = f"ws://127.0.0.1:{running.port}/live/{account}"
    client = running.async_sdk(user_token, websocket_base_url=address)
    async with client, client.realtime.connect(model="gpt-realtime") as connection:
        assert (await events_until(connection, "session.created"))[0].session.model == "gpt-realtime"
    [each] = sent(upstream, account)
    named = {V1: "model=gpt-realtime", DATED: f"deployment=gpt-realtime&api-version={VERSION}"}
    assert each["query"] == named[account]


@both
def test_deployments_are_tested_and_not_listed(running: Gateway, account: str) -> None:
    tested = running.installation.manage("test_credentials", account, "--json")
    states = {row["model"].partition("/")[2]: row for row in json.loads(tested.stdout)}
    bad = {name for name, row in states.items() if row["state"] != "works"}
    assert bad == {"no-such-deployment", "omni-moderation-latest"}
    assert states["no-such-deployment"]["state"] == "no_model"
    assert states["sora-2"]["detail"].startswith("lists ")
    listed = running.installation.manage("discover", account)
    assert listed.returncode != 0
    assert "deployments" in listed.stderr
