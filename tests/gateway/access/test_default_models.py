"""Calls without a model where OpenAI asks for none, through its own SDK: which model answers, and what is recorded."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import BadRequestError, OpenAI

from tests.support.batch_inputs import QUICK, ended, jsonl
from tests.support.installation import Gateway, Installation
from tests.support.manifests import chat_model, provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until
from tests.support.surface import picture

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
OPENAI = ("omni-moderation-latest", "gpt-image-1", "gpt-image-1.5", "dall-e-2", "gpt-4o-mini", "gpt-4o")
OWN = {"image": "drawer", "responses": "gpt-4o", "realtime": "gpt-realtime"}
DRAWERS = [{"name": "drawer", "model_id": "gpt-image-1", "model_types": ["image"]}, "dall-e-3"]
ASKED = {"prompt": "a hat", "size": "1024x1024"}


@dataclass
class Defaults:
    """``vendors`` has the vendor's defaults, ``own`` its own, ``single`` one model of a type, ``unclear`` two,
    ``films`` opens videos and lists none, ``limited`` gets a limit by model.
    """

    installation: Installation
    gateway: Gateway
    upstream: SandboxProcess
    token: str

    def sdk(self, account: str = "", token: str = "") -> OpenAI:
        headers = {"x-tfy-provider-name": account} if account else {}
        return self.gateway.sdk(token or self.token, default_headers=headers)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path) -> Iterator[Defaults]:
    data = tmp_path_factory.mktemp("defaults") / "data"
    with SandboxProcess() as upstream, Installation(data, migrated_data, QUICK) as made:
        realtime = [{"name": name, "model_types": ["realtime"]} for name in ("gpt-realtime", "gpt-realtime-mini")]
        made.apply(
            provider("vendors", upstream.url, models=[*OPENAI, *realtime]),
            provider("own", upstream.url, models=[*DRAWERS, *realtime, "gpt-4o-mini", "gpt-4o"], default_models=OWN),
            provider("single", upstream.url, models=["gpt-image-1", {"name": "talk", "model_types": ["responses"]}]),
            provider("unclear", upstream.url, models=["gpt-image-1", "gpt-image-1-mini"]),
            provider("films", upstream.url, models=["gpt-4o-mini", "gpt-4o"], open_resources=["videos"]),
            provider("limited", upstream.url, models=["gpt-4o-mini", "gpt-4o"]),
            provider("hidden", upstream.url, models=["omni-moderation-latest", chat_model("x")], access=()),
        )
        token = made.do("token", "ada", user="ada@example.com")
        yield Defaults(made, made.gateway(), upstream, token)


@pytest.fixture
def defaults(installation: Defaults) -> Defaults:
    installation.upstream.clear()
    return installation


Act = Callable[[OpenAI], Any]
CALLS: dict[str, Act] = {
    "moderation": lambda sdk: sdk.moderations.create(input="I like it."),
    "image_generation": lambda sdk: sdk.images.generate(**ASKED),  # type: ignore[call-overload]  # a plain dict
    "image_edit": lambda sdk: sdk.images.edit(image=("a.png", picture(), "image/png"), prompt="a hat"),
    "image_variation": lambda sdk: sdk.images.create_variation(image=("a.png", picture(), "image/png")),
    "responses": lambda sdk: sdk.responses.create(input="Say hi."),
}


@pytest.mark.parametrize(
    ("account", "call", "model", "public"),
    [
        ("vendors", "moderation", "omni-moderation-latest", "omni-moderation-latest"),
        ("vendors", "image_generation", "dall-e-2", "dall-e-2"),
        ("vendors", "image_edit", "gpt-image-1.5", "gpt-image-1.5"),
        ("vendors", "image_variation", "dall-e-2", "dall-e-2"),
        ("own", "image_generation", "gpt-image-1", "drawer"),
        ("own", "image_edit", "gpt-image-1", "drawer"),
        ("own", "responses", "gpt-4o", "gpt-4o"),
        ("single", "image_generation", "gpt-image-1", "gpt-image-1"),
    ],
)
def test_each_method_without_a_model(defaults: Defaults, account: str, call: str, model: str, public: str) -> None:
    CALLS[call](defaults.sdk(account))
    assert defaults.upstream.sent_model() == model
    record = defaults.installation.records(1, account=account, operation__exact=call)[-1]
    assert (record["model_asked"], record["model_served"]) == (f"{account}/{public}", model)
    assert record["cost_pico"] is not None


def test_the_account_is_the_one_that_has_a_default(defaults: Defaults) -> None:
    answer = defaults.sdk().moderations.with_raw_response.create(input="I like it.")
    assert answer.headers["x-tfy-resolved-model"] == "vendors/omni-moderation-latest"


def test_a_form_keeps_its_parts_and_its_length(defaults: Defaults) -> None:
    image = picture()
    defaults.sdk("vendors").images.create_variation(image=("a.png", image, "image/png"), size="256x256")
    (sent,) = defaults.upstream.requests()
    assert sent["body"].count(image) == 1
    assert b'name="size"\r\n\r\n256x256\r\n' in sent["body"]
    assert int(dict(sent["headers"])["content-length"]) == len(sent["body"])


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_model_is_none(defaults: Defaults, value: str) -> None:
    headers = {"authorization": f"Bearer {defaults.token}", "x-tfy-provider-name": "vendors"}
    files: Any = [("model", (None, value)), ("image", ("a.png", picture(), "image/png"))]
    address = f"{defaults.gateway.origin}/v1/images/variations"
    assert httpx.post(address, headers=headers, files=files, timeout=30).status_code == 200
    assert defaults.upstream.sent_model() == "dall-e-2"


@pytest.mark.parametrize(
    ("account", "body", "words"),
    [
        ("unclear", ASKED, "one of 'unclear/gpt-image-1', 'unclear/gpt-image-1-mini'."),
        ("", ASKED, "x-tfy-provider-name"),
        ("hidden", ASKED, "does not exist"),
    ],
)
def test_what_is_not_clear_says_what_to_name(defaults: Defaults, account: str, body: Any, words: str) -> None:
    headers = {"x-tfy-provider-name": account} if account else {}
    answer = defaults.gateway.post(defaults.token, "/v1/images/generations", body, headers=headers)
    assert 400 <= answer.status_code < 500
    assert words in answer.json()["error"]["message"]
    assert defaults.upstream.requests() == []


@pytest.mark.parametrize(
    ("limits", "status", "model"),
    [
        (["vendors/omni-moderation-latest"], 200, "omni-moderation-latest"),
        (["vendors/gpt-4o-mini"], 400, ""),
        (["vendors"], 200, "omni-moderation-latest"),
    ],
)
def test_a_limited_token_must_be_allowed_the_default(
    defaults: Defaults, limits: list[str], status: int, model: str
) -> None:
    token = defaults.gateway.token("-".join(limits).replace("/", "-"), limits, user="ada@example.com")
    answer = defaults.gateway.post(token, "/v1/moderations", {"input": "x"})
    assert answer.status_code == status, answer.text
    assert [json.loads(sent["body"])["model"] for sent in defaults.upstream.requests()] == ([model] if model else [])


def test_another_model_does_not_stand_in_for_a_forbidden_default(defaults: Defaults) -> None:
    token = defaults.gateway.token("one-drawer", ["own/dall-e-3"], user="ada@example.com")
    answer = defaults.gateway.post(token, "/v1/images/generations", ASKED, headers={"x-tfy-provider-name": "own"})
    assert answer.json()["error"]["code"] == "missing_required_parameter"
    assert "'own/dall-e-3'" in answer.json()["error"]["message"]


def test_chat_asks_for_a_model_as_ever(defaults: Defaults) -> None:
    answer = defaults.gateway.post(defaults.token, "/v1/chat/completions", {"messages": []})
    assert answer.json()["error"]["param"] == "model"


@pytest.mark.parametrize("account", ["vendors", "own"])
def test_a_client_secret_without_a_model(defaults: Defaults, account: str) -> None:
    made = defaults.sdk(account).realtime.client_secrets.create()
    assert made.value.startswith("ek_gh_")
    assert made.session.model == "gpt-realtime"  # type: ignore[union-attr]  # a realtime session


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
def test_a_video_where_the_account_lists_none(defaults: Defaults, form: bool) -> None:
    headers = {"authorization": f"Bearer {defaults.token}", "x-tfy-provider-name": "films"}
    sent: Any = {"files": {"prompt": (None, "A cat.")}} if form else {"json": {"prompt": "A cat."}}
    answer = httpx.post(f"{defaults.gateway.origin}/v1/videos", headers=headers, timeout=30, **sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "missing_required_parameter")
    assert defaults.upstream.requests() == []


PROMPT: dict[str, Any] = {"prompt": {"id": "pmpt_1"}}
PROMPTED = "gpt-4o"  # what the sandbox's prompts name


def test_a_prompt_belongs_to_one_account(defaults: Defaults) -> None:
    """One of several has a default, another only one model: neither says whose prompt it is."""
    for path, body in (("/v1/responses", PROMPT), ("/v1/realtime/client_secrets", {"session": PROMPT})):
        answer = defaults.gateway.post(defaults.token, path, body)
        assert answer.status_code == 400, answer.text
        assert "set the header x-tfy-provider-name" in answer.json()["error"]["message"]
    assert defaults.upstream.requests() == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_names_its_own_model(defaults: Defaults, stream: bool) -> None:
    body = {**PROMPT, "stream": stream}
    answer = defaults.gateway.post(defaults.token, "/v1/responses", body, headers={"x-tfy-provider-name": "vendors"})
    assert answer.status_code == 200, answer.text
    (sent,) = defaults.upstream.requests()
    assert "model" not in json.loads(sent["body"])
    (record,) = defaults.installation.records(1, request_id=answer.headers["x-request-id"])
    assert (record["model_asked"], record["model_resolved"]) == ("", f"vendors/{PROMPTED}")
    assert record["model_served"].startswith(PROMPTED)
    assert record["cost_pico"] > 0
    assert record["price_gaps"] == ""


def test_a_prompt_in_the_background_is_charged_by_its_own_model(defaults: Defaults) -> None:
    sdk = defaults.sdk("vendors")
    made = sdk.responses.create(prompt={"id": "pmpt_1"}, background=True)
    wait_until(lambda: sdk.responses.retrieve(made.id).status == "completed")
    sdk.responses.delete(made.id)  # charges it
    (record,) = defaults.installation.records(1, object_id=made.id, operation__exact="background_response")
    assert record["model_served"].startswith(PROMPTED)
    assert record["cost_pico"] > 0


def test_a_default_comes_before_the_prompts_model(defaults: Defaults) -> None:
    for account, model in (("own", "gpt-4o"), ("single", "talk")):
        defaults.upstream.clear()
        defaults.gateway.post(defaults.token, "/v1/responses", PROMPT, headers={"x-tfy-provider-name": account})
        assert defaults.upstream.sent_model() == model


def test_a_limited_token_names_the_model_of_a_prompt(defaults: Defaults) -> None:
    token = defaults.gateway.token("two", ["vendors/gpt-4o", "vendors/gpt-4o-mini"], user="ada@example.com")
    answer = defaults.gateway.post(token, "/v1/responses", PROMPT)
    assert answer.status_code == 400
    assert "'vendors/gpt-4o', 'vendors/gpt-4o-mini'" in answer.json()["error"]["message"]
    assert defaults.upstream.requests() == []


def test_a_limit_by_model_needs_the_model_of_a_prompt(defaults: Defaults) -> None:
    rule = {
        "type": "tenant-rate-limit-config/model",
        "name": "dear",
        "limits": {"requests_per_minute": 100},
        "when": {"models": {"in": ["limited/gpt-4o"]}},
        "applies_to": {"type": "aggregate"},
        "mode": "enforce",
    }
    defaults.installation.apply(rule)
    headers = {"x-tfy-provider-name": "limited"}

    def is_refused() -> bool:
        answer = defaults.gateway.post(defaults.token, "/v1/responses", PROMPT, headers=headers)
        return answer.status_code == 400 and "'dear' limits calls by their model" in answer.json()["error"]["message"]

    wait_until(is_refused)
    headers = {"x-tfy-provider-name": "vendors"}
    assert defaults.gateway.post(defaults.token, "/v1/responses", PROMPT, headers=headers).status_code == 200


def test_compacting_needs_a_model(defaults: Defaults) -> None:
    headers = {"x-tfy-provider-name": "vendors"}
    answer = defaults.gateway.post(defaults.token, "/v1/responses/compact", {"input": "hi"}, headers=headers)
    assert answer.json()["error"]["code"] == "missing_required_parameter"


def test_lists_that_name_no_account(defaults: Defaults) -> None:
    """They come from our records: the account that has some is meant, and without any all are empty."""
    token = defaults.gateway.token("lists", user="lists@example.com")
    sdk = defaults.sdk(token=token)
    for listed in (sdk.chat.completions, sdk.batches, sdk.files, sdk.fine_tuning.jobs, sdk.videos):
        assert listed.list().data == []
    made = [
        sdk.chat.completions.create(model=f"{account}/gpt-4o-mini", messages=HI, store=True).id
        for account in ("own", "films")
    ]
    with pytest.raises(BadRequestError, match="x-tfy-provider-name"):
        sdk.chat.completions.list()
    sdk.chat.completions.delete(made[1])
    assert [each.id for each in sdk.chat.completions.list()] == made[:1]
    assert sdk.batches.list().data == []


HI: Any = [{"role": "user", "content": "hi"}]


def test_lines_of_a_batch_without_a_model(defaults: Defaults) -> None:
    sdk = defaults.sdk("own")
    lines = [{"custom_id": "a", "method": "POST", "url": "/v1/images/generations", "body": ASKED}]
    uploaded = sdk.files.create(file=("in.jsonl", jsonl(lines)), purpose="batch", extra_headers=MANAGED)
    endpoint: Any = "/v1/images/generations"
    batch = sdk.batches.create(
        input_file_id=uploaded.id, endpoint=endpoint, completion_window="24h", extra_headers=MANAGED
    )
    done = ended(sdk, batch.id)
    assert (done.status, done.request_counts.completed) == ("completed", 1), done
    (record,) = defaults.installation.records(1, object_id=batch.id)
    assert (record["model_asked"], record["model_served"]) == ("own/drawer", "gpt-image-1")


MANAGED = {"x-gatehouse-batch": "managed"}
