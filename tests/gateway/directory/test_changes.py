"""A change reaches every server process within a second, on SQLite and on PostgreSQL, and open streams obey it."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.calls import CHAT_PATH, assert_body, chat, stream_error
from tests.support.fixtures import ACCOUNT, CHAT, seed
from tests.support.installation import Gateway, Installation, migrated_postgres_url, promised
from tests.support.manifests import chat_model, provider
from tests.support.open_stream import OpenStream
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

PROMISED_SECONDS = 1.0
GIVE_UP_SECONDS = 10.0
_numbers = count(1)


@dataclass
class Pair:
    """Two server processes on one database."""

    installation: Installation
    gateways: list[Gateway]

    def token(self, **owner: str) -> str:
        """A token that both processes know."""
        made: str = self.installation.do("token", owner.get("user", "t"), **owner)
        self.wait(lambda gateway: gateway.get(made, "/v1/models").status_code == 200)
        return made

    def wait(self, seen: Callable[[Gateway], bool]) -> None:
        """Wait until both see something."""
        for gateway in self.gateways:
            wait_until(lambda gateway=gateway: seen(gateway), GIVE_UP_SECONDS)

    def within_a_second(self, seen: Callable[[Gateway], bool], operation: str, *arguments: Any, **named: Any) -> None:
        """Make a change, and fail unless both processes show it within a second from then on."""
        assert not any(seen(gateway) for gateway in self.gateways), "nothing would change"
        self.installation.do(operation, *arguments, **named)
        committed = time.monotonic()
        self.wait(seen)
        took = time.monotonic() - committed
        assert took <= promised(PROMISED_SECONDS), f"{operation} took {took:.2f} s"
        assert all(seen(gateway) for gateway in self.gateways)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def pair(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    migrated_data: Path,
    running_upstream: SandboxProcess,
) -> Iterator[Pair]:
    """On SQLite the processes share a data directory, on PostgreSQL they are replicas with the same keys."""
    base = tmp_path_factory.mktemp("pair")
    with contextlib.ExitStack() as installations:
        if request.param == "sqlite":
            installation = installations.enter_context(Installation(base / "data", migrated_data))
            homes = [installation, installation]
        else:
            env = {"DATABASE_URL": migrated_postgres_url()}
            homes = [
                installations.enter_context(Installation(base / name, migrated_data, env)) for name in ("one", "two")
            ]
        seed(homes[0], running_upstream.url)
        yield Pair(homes[0], [home.gateway() for home in homes])


@pytest.fixture
def who() -> str:
    """Someone new for each test."""
    return f"user{next(_numbers)}@example.com"


def answers(token: str, status: int, code: str = "", **more: Any) -> Callable[[Gateway], bool]:
    """Whether a gateway answers a chat call with that status and error code."""

    def check(gateway: Gateway) -> bool:
        response = gateway.post(token, CHAT_PATH, chat(**more))
        return response.status_code == status and (not code or response.json()["error"]["code"] == code)

    return check


def assert_ended(stream: OpenStream, since: float, code: str) -> None:
    """Check that a stream was ended within a second with an error event."""
    stream.wait()
    assert stream.fault is None
    assert stream.ended_at - since <= promised(PROMISED_SECONDS)
    assert_body(stream_error(stream.content), code)


# --- tokens and their holders -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (lambda who: ("revoke", who), "token_revoked"),
        (lambda who: ("expire", who), "token_expired"),
        (lambda who: ("delete_token", who), "invalid_api_key"),
        (lambda who: ("deactivate", who), "token_holder_disabled"),
    ],
    ids=["revoked", "expired", "deleted", "holder-disabled"],
)
def test_a_token_ends(pair: Pair, who: str, operation: Callable[[str], tuple[str, str]], code: str) -> None:
    token = pair.token(user=who)
    pair.within_a_second(answers(token, 401, code), *operation(who))


def test_the_command_revokes_everywhere(pair: Pair, who: str) -> None:
    token = pair.token(user=who)
    pair.within_a_second(answers(token, 401, "token_revoked"), "manage", "revoke_token", "--user", who)


def test_a_revoked_token_ends_open_streams_and_no_others(pair: Pair, who: str) -> None:
    token, other = pair.token(user=who), pair.token(user=f"other-{who}")
    with contextlib.ExitStack() as streams:
        doomed = [streams.enter_context(OpenStream(gateway, token)) for gateway in pair.gateways]
        spared = [streams.enter_context(OpenStream(gateway, other)) for gateway in pair.gateways]
        pair.installation.do("revoke", who)
        since = time.monotonic()
        for stream in doomed:
            assert_ended(stream, since, "token_revoked")
        assert all(stream.flows for stream in spared)
    records = pair.installation.records(2, subject_name=who)
    assert [(row["status"], row["error_class"], row["client_gone"]) for row in records] == [
        (200, "token_revoked", False)
    ] * 2


def test_a_revoked_token_ends_a_waiting_call(pair: Pair, who: str, running_upstream: SandboxProcess) -> None:
    token = pair.token(user=who)
    running_upstream.clear()
    with OpenStream(pair.gateways[0], token, "hi [[sandbox: hang]]", stream=False) as call:
        wait_until(running_upstream.requests, 5)
        pair.installation.do("revoke", who)
        since = time.monotonic()
        call.wait()
    assert call.ended_at - since <= promised(PROMISED_SECONDS)
    assert call.status == 401
    assert_body(json.loads(call.content), "token_revoked")
    wait_until(lambda: running_upstream.requests()[-1]["disconnected"], 2)


# --- access -------------------------------------------------------------------------------------------------


def new_account(pair: Pair, upstream: SandboxProcess, *access: str) -> str:
    """Create an account with one model, and return its name once both processes know it."""
    name = f"account{next(_numbers)}"
    pair.installation.apply(
        provider(name, upstream.url, models=[chat_model("m", model_id="gpt-4o-mini")], access=access)
    )
    return name


def test_grants_come_and_go(pair: Pair, who: str, running_upstream: SandboxProcess) -> None:
    token = pair.token(user=who)
    name = new_account(pair, running_upstream)
    model = f"{name}/m"
    pair.within_a_second(answers(token, 200, model=model), "grant", name, f"user:{who}")
    with contextlib.ExitStack() as streams:
        opened = [streams.enter_context(OpenStream(gateway, token, model=model)) for gateway in pair.gateways]
        pair.within_a_second(answers(token, 404, "model_not_found", model=model), "ungrant", name, f"user:{who}")
        for stream in opened:
            assert_ended(stream, time.monotonic(), "access_ended")


def test_teams_come_and_go(pair: Pair, who: str, running_upstream: SandboxProcess) -> None:
    token = pair.token(user=who)
    team = f"team{next(_numbers)}"
    pair.installation.do("team", team, [])
    name = new_account(pair, running_upstream, f"team:{team}")
    pair.within_a_second(answers(token, 200, model=f"{name}/m"), "join_team", team, who)
    pair.within_a_second(answers(token, 404, model=f"{name}/m"), "leave_team", team, who)


def test_superusers_come_and_go(pair: Pair, who: str, running_upstream: SandboxProcess) -> None:
    token = pair.token(user=who)
    name = new_account(pair, running_upstream)
    pair.within_a_second(answers(token, 200, model=f"{name}/m"), "user", who, is_superuser=True)
    pair.within_a_second(answers(token, 404, model=f"{name}/m"), "user", who, is_superuser=False)


def test_a_virtual_account_is_disabled(pair: Pair) -> None:
    name = f"app{next(_numbers)}"
    pair.installation.do("virtual_account", name)
    pair.installation.do("grant", ACCOUNT, f"virtualaccount:{name}")
    token = pair.token(virtual_account=name)
    pair.wait(answers(token, 200))
    with OpenStream(pair.gateways[1], token) as stream:
        refused = answers(token, 401, "token_holder_disabled")
        pair.within_a_second(refused, "virtual_account", name, enabled=False)
        assert_ended(stream, time.monotonic(), "token_holder_disabled")


def test_a_model_is_narrowed(pair: Pair, who: str, running_upstream: SandboxProcess) -> None:
    token = pair.token(user=who)
    name = new_account(pair, running_upstream, "team:everyone")
    pair.wait(answers(token, 200, model=f"{name}/m"))
    pair.within_a_second(answers(token, 404, model=f"{name}/m"), "narrow", f"{name}/m", "user:boss@example.com")


# --- accounts and models ------------------------------------------------------------------------------------


def test_an_account_is_disabled_and_enabled(pair: Pair, who: str, running_upstream: SandboxProcess) -> None:
    token = pair.token(user=who)
    name = new_account(pair, running_upstream, "team:everyone")
    model = f"{name}/m"
    pair.wait(answers(token, 200, model=model))
    with OpenStream(pair.gateways[1], token, model=model) as stream:
        disabled = answers(token, 403, "provider_account_disabled", model=model)
        pair.within_a_second(disabled, "change_account", name, enabled=False)
        assert_ended(stream, time.monotonic(), "access_ended")
    pair.within_a_second(answers(token, 200, model=model), "change_account", name, enabled=True)


def test_a_moved_account_leaves_its_key_behind(pair: Pair, who: str, running_upstream: SandboxProcess) -> None:
    token = pair.token(user=who)
    name = new_account(pair, running_upstream, "team:everyone")
    model = f"{name}/m"
    pair.wait(answers(token, 200, model=model))
    with SandboxProcess() as elsewhere, OpenStream(pair.gateways[0], token, model=model) as stream:
        pair.within_a_second(answers(token, 401, model=model), "change_account", name, base_url=elsewhere.url)
        assert all("authorization" not in dict(request["headers"]) for request in elsewhere.requests())
        assert pair.installation.do("stored_key", name) == ""
        assert stream.flows, "a call that runs goes on where it was sent"
        pair.within_a_second(answers(token, 200, model=model), "change_account", name, api_key="sk-sandbox")


def test_models_come_and_go(pair: Pair, who: str, running_upstream: SandboxProcess) -> None:
    token = pair.token(user=who)
    name = new_account(pair, running_upstream, "team:everyone")
    pair.wait(answers(token, 200, model=f"{name}/m"))

    def listed(gateway: Gateway) -> bool:
        names = [model["id"] for model in gateway.get(token, "/v1/models").json()["data"]]
        return f"{name}/new" in names and answers(token, 200, model=f"{name}/new")(gateway)

    pair.within_a_second(listed, "add_model", f"{name}/new", upstream_id="gpt-4o")
    pair.within_a_second(answers(token, 404, model=f"{name}/new"), "delete_model", f"{name}/new")
    pair.within_a_second(answers(token, 404, model=f"{name}/m"), "delete_account", name)


def test_a_price_changes(pair: Pair, who: str, running_upstream: SandboxProcess) -> None:
    token = pair.token(user=who)
    name = new_account(pair, running_upstream, "team:everyone")
    pair.wait(answers(token, 200, model=f"{name}/m"))

    def costs_a_dollar(gateway: Gateway) -> bool:
        price = gateway.get(token, f"/v1/models/{name}/m").json()["pricing"]
        return bool(price["input_tokens_per_million"] == "1")

    change = {"price_source": "private", "private_price": {"input_mtok": "1"}}
    pair.within_a_second(costs_a_dollar, "change_model", f"{name}/m", **change)


def test_an_applied_manifest_reaches_both(pair: Pair, who: str, running_upstream: SandboxProcess) -> None:
    token = pair.token(user=who)
    name = f"account{next(_numbers)}"
    manifest = provider(name, running_upstream.url, models=[chat_model("m", model_id="gpt-4o-mini")])
    file = pair.installation.data / "late.json"
    file.write_text(json.dumps(manifest))
    pair.within_a_second(answers(token, 200, model=f"{name}/m"), "manage", "apply", "-f", str(file))


def test_a_change_that_is_committed_late(pair: Pair, who: str) -> None:
    """Its row in the feed has a lower number than one that was seen before; on SQLite there is one writer at a time."""
    token = pair.token(user=who)
    pair.within_a_second(answers(token, 401, "token_revoked"), "revoke_late", who, "bystander@example.com")


def test_an_account_that_is_not_understood(pair: Pair, who: str, running_upstream: SandboxProcess) -> None:
    """As while a newer version is rolled out: it is left out, and every other change is obeyed."""
    token = pair.token(user=who)
    name = new_account(pair, running_upstream, "team:everyone")
    pair.wait(answers(token, 200, model=f"{name}/m"))
    pair.within_a_second(answers(token, 404, model=f"{name}/m"), "make_strange", name)
    try:
        assert all(answers(token, 200)(gateway) for gateway in pair.gateways)
        pair.within_a_second(answers(token, 401, "token_revoked"), "revoke", who)
        assert all(f"Account {name}: " in gateway.log for gateway in pair.gateways)
    finally:
        pair.installation.do("delete_rows", name)


def test_the_shared_account_still_works(pair: Pair, who: str) -> None:
    token = pair.token(user=who)
    assert all(answers(token, 200, model=CHAT)(gateway) for gateway in pair.gateways)
