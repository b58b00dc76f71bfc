"""A virtual model over providers of three dialects: who is overloaded is followed by the next, whatever it speaks."""

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.support.fixtures import CHAT, USER
from tests.support.installation import Gateway
from tests.support.manifests import ACCESS, provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until
from tests.support.surface import picture
from tests.support.vendor_accounts import CLAUDE_PATH, GEMINI_PATH, GEMINI_STREAM, PAINTER, model_of
from tests.support.vendor_upstream import EXHAUSTED, OVERLOADED, VendorUpstream

ASKED: Any = [{"role": "user", "content": "Count from 1 to 3."}]
TARGETS = (model_of("anthropic"), model_of("google-gemini"), CHAT)


def routed(gateway: Gateway, token: str, account: str, kind: str, targets: tuple[str, ...]) -> None:
    """Make the virtual model ``account/kind`` over targets, the first of them first."""
    listed = [{"target": name, "priority": number} for number, name in enumerate(targets)]
    model = {
        "type": "integration/model/virtual",
        "name": kind,
        "model_types": [kind],
        "routing_config": {"type": "priority-based-routing", "load_balance_targets": listed},
    }
    gateway.installation.apply(
        {
            "type": "provider-account/virtual-model",
            "name": account,
            "collaborators": [{"subject": f"user:{USER}", "role_id": ACCESS}],
            "integrations": [model],
        }
    )
    wait_until(lambda: gateway.get(token, f"/v1/models/{account}/{kind}").status_code == 200)


@pytest.fixture
def anyone(running_gateway: Gateway, user_token: str, vendor: VendorUpstream) -> str:
    """A virtual model: Claude, then Gemini, then OpenAI's dialect; the first two are overloaded."""
    routed(running_gateway, user_token, "anyone", "chat", TARGETS)
    vendor.answer(CLAUDE_PATH, OVERLOADED, status=529)
    vendor.answer(GEMINI_PATH, EXHAUSTED, status=429)
    vendor.answer(GEMINI_STREAM, [EXHAUSTED])
    return "anyone/chat"


@pytest.fixture
def claude(gateway: Gateway, token: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.origin, api_key=token, max_retries=0) as client:
        yield client


def test_openais_client(sdk: OpenAI, gateway: Gateway, anyone: str, upstream: SandboxProcess) -> None:
    for stream in (False, True):
        raw = sdk.chat.completions.with_raw_response.create(model=anyone, messages=ASKED, stream=stream)
        assert raw.headers["x-tfy-resolved-model"] == CHAT
        answer: Any = raw.parse()
        assert list(answer) if stream else answer.choices[0].message.content
        records = gateway.installation.records(3, request_id=raw.headers["x-request-id"])
        assert [record["provider"] for record in records] == ["anthropic", "google-gemini", "openai"]
        assert [record["status"] for record in records] == [503, 429, 200]


def test_anthropics_client(claude: Anthropic, anyone: str) -> None:
    whole: Any = claude.messages.create(model=anyone, max_tokens=50, messages=ASKED)
    assert whole.content[0].text
    with claude.messages.stream(model=anyone, max_tokens=50, messages=ASKED) as stream:
        streamed: Any = stream.get_final_message()
    assert streamed.content[0].text == whole.content[0].text


def test_an_edit_whose_form_was_read(
    sdk: OpenAI, gateway: Gateway, token: str, vendor: VendorUpstream, upstream: SandboxProcess
) -> None:
    # Not of OpenAI's kind: it would be a second account that could keep files, for the tests behind this one.
    drawer = {"type": "integration/model/together-ai", "name": "gpt-image-1", "model_types": ["image"]}
    kind = "provider-account/together-ai"
    gateway.installation.apply(provider("drawers", upstream.url, models=[drawer], type=kind))
    routed(gateway, token, "painters", "image", (f"internal-google/{PAINTER}", "drawers/gpt-image-1"))
    vendor.answer(f"/models/{PAINTER}:generateContent", EXHAUSTED, status=429)
    image = ("a.png", picture(), "image/png")
    raw = sdk.images.with_raw_response.edit(model="painters/image", image=image, prompt="A hat.")
    assert raw.headers["x-tfy-resolved-model"] == "drawers/gpt-image-1"
    edited = raw.parse().data
    assert edited is not None
    assert edited[0].b64_json
