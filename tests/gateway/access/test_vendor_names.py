"""An account that passes any upstream name on opens neither the models that are listed on it, nor headers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.calls import CHAT_PATH, assert_ours, chat
from tests.support.fixtures import USER
from tests.support.installation import Gateway, Installation
from tests.support.manifests import chat_model, provider
from tests.support.scripted import ScriptedUpstream
from tests.support.servers import wait_until

ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{"choices":[]}'


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        upstream.answer(ANSWER)
        yield upstream


@pytest.fixture(scope="module")
def any_gateway(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, scripted: ScriptedUpstream
) -> Iterator[tuple[Gateway, str]]:
    """A gateway with an account for any model, on which two models are listed and one is disabled."""
    with Installation(tmp_path_factory.mktemp("any") / "data", migrated_data) as installation:
        models = [chat_model("named", model_id="gpt-named"), chat_model("off", model_id="gpt-off")]
        installation.apply(provider("any", scripted.origin, models=models))
        installation.do("change_account", "any", any_model=True)
        installation.do("change_model", "any/off", enabled=False)
        gateway = installation.gateway()
        token = gateway.token("t", user=USER)
        wait_until(lambda: gateway.post(token, CHAT_PATH, {**chat(), "model": "any/gpt-off"}).status_code == 404)
        yield gateway, token


def test_names_that_no_upstream_has(any_gateway: tuple[Gateway, str], scripted: ScriptedUpstream) -> None:
    gateway, token = any_gateway
    before = scripted.requests
    around = [
        "gpt-off",
        "GPT-Off",
        "gpt-off ",
        " gpt-off",
        "gpt-off\n",
        "gpt-off-2024-08-06",
        "GPT-OFF-2024-08-06",
        "off",
    ]
    odd = ["a\r\nset-cookie: b=c", "a\x00", "a\x7f", "a b", "é", "x" * 301, "x" * 10_000_000]
    for name in (*around, *odd):
        response = gateway.post(token, CHAT_PATH, {**chat(), "model": f"any/{name}"})
        assert_ours(response, 404, "model_not_found", "model")
    assert scripted.requests == before
    assert len(gateway.log) < 100_000


def test_names_that_upstreams_have(any_gateway: tuple[Gateway, str]) -> None:
    gateway, token = any_gateway
    served = {
        "named": "any/named",
        "gpt-named": "any/named",
        "GPT-Named": "any/named",
        "gpt-named-2024-08-06": "any/gpt-named-2024-08-06",
        "ft:gpt-4o:org::id": None,
        "org/model@1:free": "any/org/model@1:free",
    }
    for name, expected in served.items():
        response = gateway.post(token, CHAT_PATH, {**chat(), "model": f"any/{name}"})
        assert response.status_code == (200 if expected else 404), name
        assert response.headers.get("x-tfy-resolved-model") == expected
