"""A renamed account or model goes on under its former name: calls, limits of tokens, objects, sockets and addresses."""

import httpx
import pytest
from openai import NotFoundError, OpenAI

from tests.support.calls import chat
from tests.support.fixtures import InstallationMaker
from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

HI = [{"role": "user", "content": "hi"}]


@pytest.fixture
def server(make_installation: InstallationMaker, upstream: SandboxProcess) -> Gateway:
    installation = make_installation(seeded=False)
    installation.apply(
        provider("old", upstream.url, models=["gpt-4o-mini", "gpt-4o"], open_resources=["*"]),
        provider("other", upstream.url, models=["gpt-4o-mini"]),
    )
    return installation.gateway()


def reachable(gateway: Gateway, token: str, model: str, *, status: int = 200) -> None:
    """Wait until the change has reached the server."""
    wait_until(lambda: gateway.get(token, f"/v1/models/{model}").status_code == status)


def answers(gateway: Gateway, token: str, model: str, **headers: str) -> httpx.Response:
    return gateway.post(token, "/v1/chat/completions", chat(model=model), headers=headers)


def test_an_account_under_its_former_name(server: Gateway) -> None:
    token = server.token("ada", user="ada@example.com")
    narrow = server.token("narrow", ["old/gpt-4o-mini"], user="ada@example.com")
    whole = server.token("whole", ["old"], user="ada@example.com")
    sdk = server.sdk(token)
    before = sdk.responses.create(model="old/gpt-4o-mini", input="Remember 7.")
    file = sdk.files.create(file=("a.txt", b"hello"), purpose="user_data", extra_headers={"x-tfy-provider-name": "old"})
    server.installation.do("rename", "old", "new")
    reachable(server, token, "new/gpt-4o-mini")

    for key in (token, narrow, whole):
        for name in ("old/gpt-4o-mini", "new/gpt-4o-mini"):
            answer = answers(server, key, name)
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-tfy-resolved-model"] == "new/gpt-4o-mini"
    assert answers(server, narrow, "new/gpt-4o").status_code == 404
    assert answers(server, token, "gpt-4o-mini", **{"x-tfy-provider-name": "old"}).status_code == 200

    listed = [each.id for each in sdk.models.list()]
    assert sorted(listed) == ["new/gpt-4o", "new/gpt-4o-mini", "other/gpt-4o-mini"]
    assert sdk.responses.retrieve(before.id).id == before.id
    assert sdk.responses.create(model="old/gpt-4o-mini", input="And?", previous_response_id=before.id).id
    assert sdk.files.retrieve(file.id).id == file.id
    inside = OpenAI(base_url=f"{server.origin}/v1/accounts/old", api_key=token)
    assert inside.chat.completions.create(model="gpt-4o-mini", messages=HI).choices  # type: ignore[call-overload]
    assert inside.chat.completions.create(model="new/gpt-4o-mini", messages=HI).choices  # type: ignore[call-overload]
    wait_until(lambda: server.installation.records(account="old"))  # history keeps the names of its time

    server.installation.do("forget_name", "old")
    reachable(server, token, "old/gpt-4o-mini", status=404)
    assert answers(server, token, "old/gpt-4o-mini").status_code == 404
    with pytest.raises(NotFoundError):
        server.sdk(narrow).chat.completions.create(model="new/gpt-4o-mini", messages=HI)  # type: ignore[call-overload]


def test_a_model_under_its_former_name(server: Gateway) -> None:
    token = server.token("ada", user="ada@example.com")
    narrow = server.token("narrow", ["old/gpt-4o-mini"], user="ada@example.com")
    server.installation.do("rename", "old/gpt-4o-mini", "small")
    reachable(server, token, "old/small")
    for key in (token, narrow):
        for name in ("old/gpt-4o-mini", "old/small"):
            answer = answers(server, key, name)
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-tfy-resolved-model"] == "old/small"
    assert answers(server, narrow, "old/gpt-4o").status_code == 404
    assert "old/gpt-4o-mini" not in [each.id for each in server.sdk(token).models.list()]


def test_a_live_name_is_never_shadowed(server: Gateway) -> None:
    token = server.token("ada", user="ada@example.com")
    server.installation.do("rename", "old/gpt-4o-mini", "small")
    with pytest.raises(RuntimeError, match="former name"):
        server.installation.do("add_model", "old/gpt-4o-mini")
    with pytest.raises(RuntimeError, match="former name"):
        server.installation.do("rename", "old/gpt-4o", "gpt-4o-mini")
    server.installation.do("rename", "old/small", "gpt-4o-mini")  # back: the alias ends
    wait_until(lambda: server.get(token, "/v1/models/old/small").json().get("id") == "old/gpt-4o-mini")
    assert answers(server, token, "old/small").headers["x-tfy-resolved-model"] == "old/gpt-4o-mini"
