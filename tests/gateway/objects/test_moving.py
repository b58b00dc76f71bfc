"""A conversation that began on one account goes on at another of the caller's: its items travel, references do not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.calls import assert_ours
from tests.support.installation import Gateway, Installation
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess

MODEL = {"name": "gpt-5-mini", "model_types": ["responses", "chat"]}


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, running_upstream: SandboxProcess
) -> Iterator[tuple[Gateway, str, str]]:
    """A gateway with two accounts, and the tokens of Ada and of Eve."""
    with Installation(tmp_path_factory.mktemp("moving") / "data", migrated_data) as installation:
        installation.apply(*(provider(name, running_upstream.url, models=[MODEL]) for name in ("east", "west")))
        for name in ("ada", "eve"):
            installation.do("user", f"{name}@example.com")
        tokens = [installation.do("token", name, user=f"{name}@example.com") for name in ("ada", "eve")]
        yield installation.gateway(), tokens[0], tokens[1]


def ask(gateway: Gateway, token: str, account: str, items: list[dict[str, Any]], **more: Any) -> Any:
    body = {"model": f"{account}/gpt-5-mini", "input": [*items, {"role": "user", "content": "And now?"}], **more}
    return gateway.post(token, "/v1/responses", body)


@pytest.fixture
def output(world: tuple[Gateway, str, str]) -> list[dict[str, Any]]:
    """What Ada was answered on ``east``: reasoning and code that ran in a container among it."""
    gateway, ada, _ = world
    tools = [{"type": "code_interpreter", "container": {"type": "auto"}}]
    asked = {
        "model": "east/gpt-5-mini",
        "input": "Use python to add 1 and 2.",
        "tools": tools,
        "include": ["reasoning.encrypted_content"],
    }
    answer = gateway.post(ada, "/v1/responses", {**asked, "reasoning": {"effort": "high", "summary": "auto"}})
    assert answer.status_code == 200, answer.text
    made: list[dict[str, Any]] = answer.json()["output"]
    return made


def sent(upstream: SandboxProcess) -> list[dict[str, Any]]:
    """The items that went upstream, without the last question."""
    (request,) = upstream.requests()
    items: list[dict[str, Any]] = json.loads(request["body"])["input"]
    return items[:-1]


def test_items_go_on_elsewhere_without_their_ids(
    world: tuple[Gateway, str, str], output: list[dict[str, Any]], upstream: SandboxProcess
) -> None:
    gateway, ada, _ = world
    upstream.clear()
    answer = ask(gateway, ada, "west", output)
    assert answer.status_code == 200, answer.text
    kinds = [item["type"] for item in output]
    assert "message" in kinds
    items = sent(upstream)
    told = {"code_interpreter_call": "message"}
    assert [item.get("type", "message") for item in items] == [told.get(k, k) for k in kinds if k != "reasoning"]
    text = json.dumps(items)
    assert all(item["id"] not in text for item in output)
    assert "cntr_" not in text


def test_items_stay_as_they_are_where_they_were_made(
    world: tuple[Gateway, str, str], output: list[dict[str, Any]], upstream: SandboxProcess
) -> None:
    gateway, ada, _ = world
    upstream.clear()
    assert ask(gateway, ada, "east", output).status_code == 200
    assert sent(upstream) == output


def test_references_do_not_go_elsewhere(world: tuple[Gateway, str, str], output: list[dict[str, Any]]) -> None:
    gateway, ada, eve = world
    item = output[-1]["id"]
    reference = {"type": "item_reference", "id": item}
    refused = ask(gateway, ada, "west", [*output[:-1], reference])
    assert_ours(refused, 400, "object_on_other_account", "item_reference")
    assert ask(gateway, ada, "east", [reference]).status_code == 200
    unknown = ask(gateway, eve, "west", [reference])
    assert_ours(unknown, 404, "not_found", "item_reference")


def test_a_foreigners_ids_stay_unknown(
    world: tuple[Gateway, str, str], output: list[dict[str, Any]], upstream: SandboxProcess
) -> None:
    gateway, _, eve = world
    code = [item for item in output if item["type"] == "code_interpreter_call"]
    hollow = [{"type": "reasoning", "id": item["id"], "summary": []} for item in output if item["type"] == "reasoning"]
    upstream.clear()
    for account in ("east", "west"):
        for items in (code, hollow):
            if items:
                assert ask(gateway, eve, account, items).json()["error"]["code"] == "not_found"
    assert upstream.requests() == []
