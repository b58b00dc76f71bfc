"""Which models a caller sees is which models a caller may call, under every name that a model has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from openai import NotFoundError

from sandbox.model.catalog import MODELS
from tests.support.calls import CHAT_PATH, assert_ours, chat
from tests.support.installation import Gateway, Installation
from tests.support.manifests import chat_model, provider
from tests.support.sandbox_process import SandboxProcess

ADA, BOB, BOSS = "ada@example.com", "bob@example.com", "boss@example.com"
OPEN = {"open/both", "open/only-open", "open/priced"}


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, running_upstream: SandboxProcess
) -> Iterator[tuple[Gateway, dict[str, str]]]:
    """A gateway of its own, and tokens by name."""
    url = running_upstream.url
    with Installation(tmp_path_factory.mktemp("models") / "data", migrated_data) as installation:
        installation.do("team", "blue", [BOB])
        installation.do("user", BOSS, is_superuser=True)
        installation.do("virtual_account", "shop")
        price = {"metric": "per_unit", "value": {"input_mtok": "1.25", "output_mtok": "10", "cache_read_mtok": "0.125"}}
        detail = {
            "context_window": 1000,
            "max_output_tokens": 100,
            "deprecated_on": "2030-01-31",
            "features": ["tools", "vision"],
        }
        installation.apply(
            provider(
                "open",
                url,
                models=[
                    chat_model("both", model_id="gpt-4o-mini"),
                    chat_model("only-open", model_id="gpt-4o-mini"),
                    chat_model("priced", model_id="gpt-4o", model_types=["chat", "responses"], cost=price, **detail),
                    chat_model("off", model_id="gpt-4o-mini", enabled=False),
                    chat_model("for-bob", model_id="gpt-4o-mini", authorized_subjects=[f"user:{BOB}"]),
                    chat_model("for-blue", model_id="gpt-4o-mini", authorized_subjects=["team:blue"]),
                ],
            ),
            provider(
                "blue",
                url,
                models=[chat_model("both", model_id="gpt-4o"), chat_model("only-blue", model_id="gpt-4o")],
                access=["team:blue"],
            ),
            provider("shop", url, models=[chat_model("with/slash", model_id="gpt-4o")], access=["virtualaccount:shop"]),
            provider("nobody", url, models=[chat_model("secret")], access=[]),
            provider("off", url, models=[chat_model("m")], enabled=False),
            provider(
                "any", url, models=[chat_model("mini", model_id="gpt-4o-mini")], access=[f"user:{BOB}"], any_model=True
            ),
        )
        tokens = {name: installation.do("token", name, user=name) for name in (ADA, BOB, BOSS)}
        tokens["shop"] = installation.do("token", "shop", virtual_account="shop")
        limits = {
            "to an account": ["blue"],
            "to a model": ["open/both"],
            "to both": ["blue", "open/both"],
            "to what is not theirs": ["nobody"],
        }
        tokens |= {name: installation.do("token", name, entries, user=BOB) for name, entries in limits.items()}
        tokens["boss to a model"] = installation.do("token", "boss", ["nobody/secret"], user=BOSS)
        assert installation.command("discover", "any").returncode == 0
        yield installation.gateway(), tokens


def listed(world: tuple[Gateway, dict[str, str]], name: str) -> set[str]:
    gateway, tokens = world
    with gateway.sdk(tokens[name]) as client:
        return {model.id for model in client.models.list()}


BLUE = {"blue/both", "blue/only-blue"}
BOBS = OPEN | BLUE | {"open/for-bob", "open/for-blue", "any/mini"}
VISIBLE = {
    ADA: OPEN,
    BOB: BOBS,
    BOSS: BOBS | {"shop/with/slash", "nobody/secret"},
    "shop": {"shop/with/slash"},
    "to an account": BLUE,
    "to a model": {"open/both"},
    "to both": BLUE | {"open/both"},
    "to what is not theirs": set(),
    "boss to a model": {"nobody/secret"},
}
OFFERED = {f"any/{name}" for name in MODELS} - {"any/gpt-4o-mini"}  # which is registered as any/mini
EVERY = sorted(VISIBLE[BOSS] | {"open/off", "off/m", "open/nothing"})


@pytest.mark.parametrize("name", VISIBLE)
def test_the_list_is_what_may_be_called(world: tuple[Gateway, dict[str, str]], name: str) -> None:
    gateway, tokens = world
    assert listed(world, name) == VISIBLE[name] | (OFFERED if name in (BOB, BOSS) else set())
    for model in EVERY:
        response = gateway.post(tokens[name], CHAT_PATH, chat(model=model))
        described = gateway.get(tokens[name], f"/v1/models/{model}")
        if model in VISIBLE[name]:
            assert response.headers["x-tfy-resolved-model"] == model
            assert described.json()["id"] == model
        else:
            assert response.status_code == described.status_code
            assert response.status_code in ({403, 404} if model == "off/m" else {404})


def test_what_a_server_offers_at_every_door(world: tuple[Gateway, dict[str, str]]) -> None:
    gateway, tokens = world
    assert len(OFFERED) > 50
    bob, everything = tokens[BOB], BOBS | OFFERED
    with gateway.sdk(bob) as client:
        shown = {model.id: model for model in client.models.list()}
        assert shown["any/gpt-4o"].model_dump()["pricing"] is None
        found = client.models.retrieve("any/gpt-4o").model_dump()
        assert (found["owned_by"], found["model_types"]) == ("any", [])
        assert found["pricing"]["input_tokens_per_million"] == "2.5"
        answer = client.chat.completions.create(model="any/gpt-4o", messages=[{"role": "user", "content": "hi"}])
        assert answer.choices[0].message.content
    with Anthropic(base_url=gateway.origin, api_key=bob, max_retries=0) as claude:
        assert {entry.id for entry in claude.models.list(limit=1000)} == everything
    page = gateway.get(bob, "/v1beta/models?pageSize=1000").json()
    assert {model["name"].removeprefix("models/") for model in page["models"]} == everything
    page = gateway.get(bob, "/v1/accounts/any/models").json()
    assert {model["id"] for model in page["data"]} == OFFERED | {"any/mini"}


def test_a_model_is_described(world: tuple[Gateway, dict[str, str]]) -> None:
    gateway, tokens = world
    with gateway.sdk(tokens[ADA]) as client:
        model = client.models.retrieve("open/priced")
    described: dict[str, Any] = model.model_dump()
    created = described.pop("created")
    assert isinstance(created, int)
    assert created > 1_700_000_000
    assert described == {
        "id": "open/priced",
        "object": "model",
        "owned_by": "open",
        "provider": "openai",
        "model_types": ["chat", "responses"],
        "features": ["tools", "vision"],
        "context_window": 1000,
        "max_output_tokens": 100,
        "shutdown_date": "2030-01-31",
        "pricing": {
            "currency": "USD",
            "input_tokens_per_million": "1.25",
            "output_tokens_per_million": "10",
            "cache_read_tokens_per_million": "0.125",
        },
    }


def test_the_public_price_is_shown(gateway: Gateway, token: str) -> None:
    found = gateway.get(token, "/v1/models/openai-main/gpt-4o-mini").json()
    assert found["pricing"]["input_tokens_per_million"] == "0.15"
    assert found["pricing"]["output_tokens_per_million"] == "0.6"
    assert found["context_window"] == 128_000
    assert "tools" in found["features"]


def test_the_list_on_every_base_address(world: tuple[Gateway, dict[str, str]]) -> None:
    gateway, tokens = world
    for path in ("/v1", "/api/llm", "/api/llm/api/inference/openai/v1"):
        with gateway.sdk(tokens[ADA], path) as client:
            assert {model.id for model in client.models.list()} == OPEN
            assert client.models.retrieve("open/both").id == "open/both"


def test_nothing_secret_is_listed(world: tuple[Gateway, dict[str, str]], running_upstream: SandboxProcess) -> None:
    gateway, tokens = world
    text = gateway.get(tokens[BOSS], "/v1/models").text
    assert "sk-sandbox" not in text
    assert running_upstream.origin not in text


# --- bare names ---------------------------------------------------------------------------------------------


def served_by(world: tuple[Gateway, dict[str, str]], name: str, model: str, account: str = "") -> Any:
    """The model that serves a call, or the error's code."""
    gateway, tokens = world
    headers = {"x-tfy-provider-name": account} if account else {}
    response = gateway.post(tokens[name], CHAT_PATH, chat(model=model), headers=headers)
    if response.headers.get("x-gatehouse-error-origin") == "gateway":
        return response.json()["error"]["code"]
    return response.headers["x-tfy-resolved-model"]


@pytest.mark.parametrize(
    ("name", "model", "account", "served"),
    [
        (ADA, "both", "", "open/both"),  # of the two, only one is theirs
        (ADA, "only-blue", "", "model_not_found"),
        (BOB, "both", "", "ambiguous_model"),
        (BOB, "both", "blue", "blue/both"),
        (BOB, "both", "open", "open/both"),
        (BOB, "only-blue", "", "blue/only-blue"),
        (BOB, "only-blue", "open", "model_not_found"),
        (BOB, "open/both", "blue", "open/both"),  # a whole name says more than the header
        ("to an account", "both", "", "blue/both"),
        ("to a model", "both", "", "open/both"),
        ("shop", "with/slash", "", "shop/with/slash"),
        ("shop", "with/slash", "shop", "shop/with/slash"),
        ("shop", "both", "open", "model_not_found"),
        (BOSS, "secret", "", "nobody/secret"),
        (BOB, "m", "off", "model_not_found"),
        (ADA, "m", "off", "provider_account_disabled"),
    ],
)
def test_names(world: tuple[Gateway, dict[str, str]], name: str, model: str, account: str, served: str) -> None:
    if (name, account) == (BOB, "off"):
        name = "to an account"
    assert served_by(world, name, model, account) == served


def test_an_ambiguous_name_lists_only_what_is_theirs(world: tuple[Gateway, dict[str, str]]) -> None:
    gateway, tokens = world
    error = assert_ours(gateway.post(tokens[BOB], CHAT_PATH, chat(model="both")), 400, "ambiguous_model", "model")
    assert "blue/both, open/both" in error["message"]
    assert "nobody" not in error["message"]


def test_the_sdk_retrieves_by_bare_name(world: tuple[Gateway, dict[str, str]]) -> None:
    gateway, tokens = world
    with gateway.sdk(tokens[BOB], default_headers={"x-tfy-provider-name": "blue"}) as client:
        assert client.models.retrieve("both").id == "blue/both"
        with pytest.raises(NotFoundError):
            client.models.retrieve("secret")


# --- any model ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "account", "served", "upstream_name"),
    [
        ("any/mini", "", "any/mini", "gpt-4o-mini"),
        ("any/gpt-4o-mini", "", "any/mini", "gpt-4o-mini"),
        ("any/gpt-4o", "", "any/gpt-4o", "gpt-4o"),
        ("gpt-4o", "any", "any/gpt-4o", "gpt-4o"),
        ("any/never-heard-of", "", "any/never-heard-of", "never-heard-of"),
    ],
)
def test_an_account_that_passes_any_model(
    world: tuple[Gateway, dict[str, str]],
    upstream: SandboxProcess,
    model: str,
    account: str,
    served: str,
    upstream_name: str,
) -> None:
    assert served_by(world, BOB, model, account) == served
    assert upstream.sent_model() == upstream_name


def test_any_model_is_for_its_users_only(world: tuple[Gateway, dict[str, str]], upstream: SandboxProcess) -> None:
    assert served_by(world, ADA, "any/gpt-4o") == "model_not_found"
    assert served_by(world, ADA, "gpt-4o", "any") == "model_not_found"
    assert upstream.requests() == []


def test_a_limited_token_of_a_user_of_any_model(world: tuple[Gateway, dict[str, str]]) -> None:
    """A limit to one model of the account opens no other, listed or not."""
    gateway, _ = world
    limited = gateway.token("limited", ["any/mini"], user=BOB)
    assert gateway.post(limited, CHAT_PATH, chat(model="any/mini")).status_code == 200
    assert_ours(gateway.post(limited, CHAT_PATH, chat(model="any/gpt-4o")), 404, "model_not_found", "model")
