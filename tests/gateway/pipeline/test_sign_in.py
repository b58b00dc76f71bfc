"""Accounts without a key: Azure with an Entra application, Vertex with a service account, through the OpenAI SDK."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import APIStatusError, AuthenticationError, OpenAI

from tests.support.fixtures import USER, InstallationMaker
from tests.support.installation import Gateway, Installation
from tests.support.manifests import provider
from tests.support.servers import wait_until
from tests.support.token_server import CLIENT, PEM, SECRET, TENANT, TokenServer

SCOPE = "https://ai.azure.com/.default"
FILTER = {"hate": {"filtered": False, "severity": "safe"}}
CHUNKS: list[dict[str, Any]] = [
    {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTER}]},
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": None, "content_filter_results": FILTER}]},
    {"choices": [{"index": 0, "finish_reason": "stop", "content_filter_offsets": {"check_offset": 3}}]},
    {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}},
]
FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": FILTER},
    }
}


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with TokenServer() as running:
        yield running


@pytest.fixture
def installation(make_installation: InstallationMaker, server: TokenServer) -> Installation:
    made = make_installation({"AZURE_SECRET": SECRET, "GOOGLE_KEY": server.key_file()}, seeded=False)
    entra = {"type": "entra", "tenant_id": TENANT, "client_id": CLIENT, "authority": server.url, "scope": SCOPE}
    for name, kind, auth in (
        ("azure-main", "azure-openai", {**entra, "client_secret": "${AZURE_SECRET}"}),
        ("vertex-main", "google-vertex", {"type": "service-account", "key_file": "${GOOGLE_KEY}"}),
    ):
        models = [{"type": f"integration/model/{kind}", "name": "gpt-4o", "model_types": ["chat"]}]
        made.apply(provider(name, server.url, models=models, type=f"provider-account/{kind}", auth_data=auth))
    return made


@pytest.fixture
def gateway(installation: Installation) -> Gateway:
    return installation.gateway()


@pytest.fixture
def sdk(gateway: Gateway) -> Iterator[OpenAI]:
    with gateway.sdk(gateway.token("signed", user=USER)) as client:
        yield client


def ask(sdk: OpenAI, account: str, **options: Any) -> Any:
    messages: Any = [{"role": "user", "content": "Hi"}]
    return sdk.chat.completions.create(model=f"{account}/gpt-4o", messages=messages, **options)


def stream_of(chunks: list[dict[str, Any]]) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    return (
        b"".join(b"data: " + json.dumps({**head, **chunk}).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    )


def test_calls_are_signed_with_tokens(sdk: OpenAI, gateway: Gateway, server: TokenServer) -> None:
    # Tokens are there before the first call wants one.
    wait_until(lambda: len(server.asked) == 2)
    for account in ("azure-main", "vertex-main"):
        assert ask(sdk, account).choices[0].message.content == "Hi."
        assert ask(sdk, account).choices[0].message.content == "Hi."
    assert len(server.asked) == 2
    assert SCOPE in [form.get("scope") for _, form in server.asked]
    assert all(headers["authorization"].startswith("Bearer token-") for _, headers, _ in server.called)

    # Azure's filter results go through, chunks without choices or without a delta don't disturb.
    server.answers["/chat/completions"] = 200, stream_of(CHUNKS), "text/event-stream"
    chunks = list(ask(sdk, "azure-main", stream=True, stream_options={"include_usage": True}))
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices and chunk.choices[0].delta)
        == "Hi."
    )
    assert chunks[0].model_dump()["prompt_filter_results"][0]["content_filter_results"] == FILTER
    assert chunks[2].choices[0].model_dump()["content_filter_results"] == FILTER
    [record] = gateway.installation.records(1, stream=True)
    assert (record["input_tokens"], record["output_tokens"], record["status"]) == (5, 2, 200)

    server.answers["/chat/completions"] = 400, json.dumps(FILTERED).encode(), "application/json"
    with pytest.raises(APIStatusError) as filtered:
        ask(sdk, "azure-main")
    assert (filtered.value.status_code, filtered.value.code) == (400, "content_filter")
    assert filtered.value.body["innererror"]["content_filter_result"] == FILTER  # type: ignore[index]


def test_a_revoked_token_is_replaced_and_never_shown(sdk: OpenAI, server: TokenServer) -> None:
    ask(sdk, "azure-main")
    token = server.called[-1][1]["authorization"].removeprefix("Bearer ")
    server.revoked.add(token)
    with pytest.raises(AuthenticationError) as refused:
        ask(sdk, "azure-main")
    assert token not in str(refused.value.body)
    assert ask(sdk, "azure-main").choices


def test_a_refused_application_is_told_clearly(sdk: OpenAI, gateway: Gateway, server: TokenServer) -> None:
    wait_until(lambda: len(server.asked) == 2)
    ask(sdk, "azure-main")
    server.status, server.error = 401, "AADSTS7000222: The provided client secret keys are expired."
    server.revoked.add(server.called[-1][1]["authorization"].removeprefix("Bearer "))
    with pytest.raises(AuthenticationError):
        ask(sdk, "azure-main")
    with pytest.raises(APIStatusError) as refused:
        ask(sdk, "azure-main")
    assert (refused.value.status_code, refused.value.code) == (502, "upstream_sign_in_failed")
    assert "AADSTS7000222" in str(refused.value.body)
    assert SECRET not in str(refused.value.body)
    tested = gateway.installation.command("test_credentials", "azure-main")
    assert tested.returncode == 1
    assert "AADSTS7000222" in tested.stdout


def test_what_is_stored_comes_out_nowhere(installation: Installation, server: TokenServer) -> None:
    exported = installation.command("export")
    assert exported.returncode == 0
    assert f"tenant_id: {TENANT}" in exported.stdout
    assert f"scope: '{SCOPE}'" in exported.stdout or f"scope: {SCOPE}" in exported.stdout
    assert "${AZURE_MAIN_CLIENT_SECRET}" in exported.stdout
    assert "${VERTEX_MAIN_KEY_FILE}" in exported.stdout
    assert SECRET not in exported.stdout
    assert PEM.splitlines()[1] not in exported.stdout
    # Applied again without the variables it changes nothing; another application needs its secret.
    file = installation.data / "exported.yaml"
    file.write_text(exported.stdout)
    again = installation.command("apply", "-f", str(file))
    assert again.returncode == 0, again.stderr
    assert "credentials" not in again.stdout
    file.write_text(exported.stdout.replace(CLIENT, "another-client"))
    other = installation.command("apply", "-f", str(file))
    assert "AZURE_MAIN_CLIENT_SECRET is not set" in other.stderr
    tested = installation.command("test_credentials", "vertex-main")
    assert tested.returncode == 0, tested.stderr
