"""What a vendor or a model does not take of a chat's parameters is renamed or left out, and it says so."""

import json
from typing import Any

from tests.support.calls import CHAT_PATH, assert_ours, chat
from tests.support.fixtures import CHAT
from tests.support.installation import Gateway
from tests.support.manifests import chat_model, provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until


def account(gateway: Gateway, token: str, upstream: SandboxProcess, kind: str) -> str:
    """An account of ``kind`` on the sandbox; returns its model's name."""
    row = {**chat_model("m", model_id="gpt-4o-mini"), "type": f"integration/model/{kind}"}
    gateway.installation.apply(provider(kind, upstream.url, models=[row], type=f"provider-account/{kind}"))
    wait_until(lambda: gateway.get(token, f"/v1/models/{kind}/m").status_code == 200)
    return f"{kind}/m"


def test_a_vendors_own_names_and_gaps(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    model = account(gateway, token, upstream, "mistral-ai")
    body = chat(model=model, max_completion_tokens=9, seed=1, user="u", logprobs=False, temperature=0.5)
    response = gateway.post(token, CHAT_PATH, body)
    assert response.headers["x-gatehouse-dropped"] == "user"
    sent = json.loads(upstream.requests()[-1]["body"])
    assert {**sent, "messages": 0} == {
        "model": "gpt-4o-mini",
        "messages": 0,
        "max_tokens": 9,
        "random_seed": 1,
        "temperature": 0.5,
    }
    strict = gateway.post(token, CHAT_PATH, body, headers={"x-gatehouse-strict": "true"})
    assert_ours(strict, 400, "unsupported_parameter", "user")


def test_what_another_vendors_turns_left_in_the_messages(
    gateway: Gateway, token: str, upstream: SandboxProcess
) -> None:
    marked: Any = [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]
    reasoning = {"reasoning_content": "I think.", "reasoning_details": [{"text": "I"}], "thinking_blocks": [{}]}
    thought = {"role": "assistant", "content": "Hm.", "extra_content": {"google": {}}, **reasoning}
    messages = [{"role": "user", "content": marked}, thought, {"role": "user", "content": "go on"}]
    model = account(gateway, token, upstream, "groq")
    response = gateway.post(token, CHAT_PATH, {"model": model, "messages": messages})
    assert response.headers["x-gatehouse-dropped"] == "cache_control"
    sent = upstream.requests()[-1]["body"].decode()
    assert not any(word in sent for word in ("cache_control", "extra_content", *reasoning))
    assert "Hm." in sent
    for name in reasoning:  # each alone is seen, too
        messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hm.", name: reasoning[name]}]
        gateway.post(token, CHAT_PATH, {"model": model, "messages": messages})
        assert name not in upstream.requests()[-1]["body"].decode()
    messages = [{"role": "user", "content": marked}, thought, {"role": "user", "content": "go on"}]
    for kind, kept in (("openrouter", ("cache_control", "reasoning_content")), ("vllm", ("extra_content",))):
        model = account(gateway, token, upstream, kind)
        response = gateway.post(token, CHAT_PATH, {"model": model, "messages": messages})
        assert "x-gatehouse-dropped" not in response.headers
        sent = upstream.requests()[-1]["body"].decode()
        assert all(word in sent for word in kept)


def test_what_a_model_takes_is_sent_byte_for_byte(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    inner = '"temperature":0.50, "metadata":{ "a" : "b" }, "messages":[ {"role":"user","content":"hi"} ]}'
    spaced = f'{{"model":"{CHAT}",{inner}'.encode()
    response = gateway.post(token, CHAT_PATH, content=spaced)
    assert "x-gatehouse-dropped" not in response.headers
    sent = upstream.requests()[-1]["body"]
    assert b'"temperature":0.50' in sent
    assert b'{ "a" : "b" }' in sent
    assert json.loads(sent) == {**json.loads(spaced), "model": "gpt-4o-mini"}
