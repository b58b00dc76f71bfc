"""What each role reaches of every route, console action, socket and command, on both databases.

``tests/support/role_table.txt`` has a row for each: what is new fails here until a developer has decided who may.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from django.core.management import get_commands, load_command_class

from accounts.audited_command import AuditedCommand
from gateway.endpoints import realtime_calls
from gateway.realtime.routing import sockets
from tests.gateway.access.test_admission_walk import BODY, CALLS, FORM, OFFER, Endpoint
from tests.support.console_session import ConsoleSession
from tests.support.installation import Gateway, Installation, migrated_postgres_url
from tests.support.role_walk import KEYS, PASSWORD, PEOPLE, ROLES, Walker, in_order, places, table
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

# What a command does: it runs something, reads, or changes the configuration or records. All need the data folder.
COMMANDS = {
    "serve": "runs",
    "demo": "runs",
    "sandbox": "runs",
    "drain": "runs",
    "create_token": "changes",
    "revoke_token": "changes",
    "unlock": "changes",
    "reset_two_factor": "changes",
    "sign_in_link": "changes",
    "apply": "changes",
    "seed_catalogue": "changes",
    "bind_key": "changes",
    "discover": "changes",
    "list_tokens": "reads",
    "export": "reads",
    "test_credentials": "reads",
    "usage_report": "reads",
    "export_usage": "reads",
    "doctor": "reads",
    "explain": "reads",
    "simulate": "reads",
    "why": "reads",
    "check_budgets": "tidies",
    "reconcile": "reads",
    "batches": "reads",
    "alerts": "reads",
    "test_channel": "reads",
    "silence_alert": "changes",
    "scheduled_exports": "runs",
    "rerate": "rates",  # each run, its reason and what records cost before are kept as rows of their own
    "prune_usage": "tidies",
    "prune_objects": "tidies",
    "prune_request_log": "tidies",
    "usage_sums": "tidies",
    "partition_usage": "tidies",
}
OURS = ("accounts", "providers", "usage", "rules", "gateway", "batches", "alerts", "console")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def running(request, tmp_path_factory, migrated_data: Path, running_upstream: SandboxProcess) -> Iterator[Gateway]:
    postgres = request.param == "postgresql"
    env = {"DATABASE_URL": migrated_postgres_url()} if postgres else {}
    folder = tmp_path_factory.mktemp("roles") / "data"
    with Installation(folder, None if postgres else migrated_data, env) as installation:
        installation.do("people", PEOPLE, PASSWORD)
        yield installation.gateway()


def test_every_place_has_a_row() -> None:
    there = {str(place) for place in places()}
    assert there == set(table()), (
        "decide who may reach it, and write it into role_table.txt (python -m tests.support.role_rows shows it)"
    )


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reaches_what_the_table_says(running: Gateway, role: str) -> None:
    objects = running.installation.do("role_objects", role, PEOPLE["manager"], PEOPLE["member"])
    token = running.token(f"walk-{role}", virtual_account=f"{role}-mine-bot")
    walker = Walker(running.origin, role, token, objects)
    rows, column = table(), ROLES.index(role)
    wrong = []
    for place in in_order(places()):
        got = walker.cell(place)
        if got != rows[str(place)][column]:
            wrong.append(f"{place}: {got}, not {rows[str(place)][column]}")
    assert not wrong, "\n".join(wrong)
    if role != "superuser":
        check_untouched(running, role, objects["other"])


def check_untouched(running: Gateway, role: str, others: dict[str, Any]) -> None:
    """Nothing of what isn't theirs was changed, whatever the answers said."""
    done = running.installation.do("changes_by", PEOPLE.get(role, "nobody"))
    foreign = {f"{role}-other-openai", f"{role}-other-team"}
    theirs = {(name.replace("/", "."), str(others[key])) for name, key in KEYS.items() if key in others}
    assert not [row for row in done if (row["object_type"], row["object_id"]) in theirs]
    assert not [row for row in done if {row["account"], row["team"]} & foreign]


# --- the API ----------------------------------------------------------------------------------------------------------
ROOTS = ("/v1/", "/api/llm/", "/api/llm/api/inference/openai/v1/", "/v1/accounts/acme/", "/openai/v1/")
API_TABLE = Path(__file__).parent / "support" / "api_table.txt"


def call(running: Gateway, endpoint: Endpoint, root: str, headers: dict[str, str]) -> Any:
    request: dict[str, Any] = {"headers": {"x-tfy-provider-name": "acme", **headers}}
    if endpoint.method in ("POST", "PUT", "PATCH"):
        answer = running.http.request(endpoint.method, running.origin + root + endpoint.path, json=BODY, **request)
        if answer.status_code != 415:
            return answer
        request["files"] = OFFER if endpoint.view is realtime_calls.Calls else FORM
    return running.http.request(endpoint.method, running.origin + root + endpoint.path, **request)


def test_no_call_gets_in_without_a_good_token(running: Gateway) -> None:
    with ConsoleSession(running.origin, PEOPLE["superuser"], PASSWORD) as console:
        cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in console.http.cookies.jar)
    installation = running.installation
    bearers = {}
    for state in ("revoked", "expired", "disabled"):
        name = f"{state}-token-bot"
        bearers[state] = running.token(f"{state}-token", virtual_account=name)
    installation.do("revoke", "revoked-token")
    installation.do("expire", "expired-token")
    installation.do("virtual_account", "disabled-token-bot", enabled=False)
    for token in bearers.values():
        wait_until(lambda token=token: running.get(token, "/v1/models").status_code in (401, 403))
    asked = {"nobody": {}, "a session": {"cookie": cookie}, "a made-up token": {"authorization": "Bearer gh-made-up"}}
    asked |= {state: {"authorization": f"Bearer {token}"} for state, token in bearers.items()}
    wrong = []
    for endpoint in CALLS:
        for root in ROOTS:
            for who, headers in asked.items():
                status = call(running, endpoint, root, headers).status_code
                if status not in ((401, 403) if who == "disabled" else (401,)):
                    wrong.append((root, str(endpoint), who, status))
    assert not wrong


def test_an_application_without_access_reaches_nothing(running: Gateway) -> None:
    """The table has what it gets; where that is a success, it is a list of nothing."""
    rows = dict(line.rsplit(None, 1) for line in API_TABLE.read_text().splitlines() if not line.startswith("#"))
    assert set(rows) == {str(endpoint) for endpoint in CALLS}, f"decide who may, and write it into {API_TABLE.name}"
    headers = {"authorization": f"Bearer {running.token('bare', virtual_account='bare-bot')}"}
    wrong = []
    for endpoint in CALLS:
        answer = call(running, endpoint, "/v1/", headers)
        if str(answer.status_code) != rows[str(endpoint)] or (answer.status_code < 400 and answer.json()["data"]):
            wrong.append(f"{endpoint}: {answer.status_code}, not {rows[str(endpoint)]}: {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)


# --- sockets ----------------------------------------------------------------------------------------------------------
KINDS = ("realtime", "realtime/translations", "responses", "live/sessions")
BASES = ("/live/acme", "/v1", "/v1/accounts/acme", "/openai")
SOCKETS = (*(f"{base}/{kind}" for base in BASES for kind in KINDS), "/live/acme", "/anything")


def test_every_socket_has_a_row() -> None:
    patterns = [str(route.pattern).removeprefix("^") for route in sockets.routes]
    found = [next((path for path in SOCKETS if re.match(pattern, path[1:])), None) for pattern in patterns]
    assert None not in found
    assert len(patterns) == len(SOCKETS)


async def test_no_socket_opens_without_a_good_token(running: Gateway) -> None:
    with ConsoleSession(running.origin, PEOPLE["superuser"], PASSWORD) as console:
        cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in console.http.cookies.jar)
    bare = running.token("bare-socket", virtual_account="bare-bot")
    who = {
        "nobody": ({}, {401}),
        "a session": ({"cookie": cookie}, {401}),
        "a made-up token": ({"authorization": "Bearer gh-made-up"}, {401}),
        "a client secret of nobody's": ({"authorization": "Bearer ek_gh_made-up"}, {401}),
        "an application without access": ({"authorization": f"Bearer {bare}"}, {400, 403, 404}),
    }
    wrong = []
    async with aiohttp.ClientSession() as session:
        for path in SOCKETS:
            for name, (headers, refused) in who.items():
                url = f"ws://127.0.0.1:{running.port}{path}?model=gpt-4o-realtime-preview"
                try:
                    async with session.ws_connect(url, headers=headers) as opened:
                        await opened.send_str(json.dumps({"type": "response.create", "model": "acme/m", "input": "x"}))
                        event = json.loads((await opened.receive(timeout=5)).data)
                        status = event.get("status", 200) if event.get("type") == "error" else 200
                except aiohttp.WSServerHandshakeError as error:
                    status = error.status
                if status not in (refused | {404} if path == "/anything" else refused):
                    wrong.append((path, name, status))
    assert not wrong


# --- commands ---------------------------------------------------------------------------------------------------------
def test_every_command_has_a_row_and_what_changes_is_recorded() -> None:
    ours = {name: app for name, app in get_commands().items() if str(app) in OURS}
    assert set(ours) == set(COMMANDS)
    for name, kind in COMMANDS.items():
        audited = isinstance(load_command_class(ours[name], name), AuditedCommand)
        assert audited == (kind == "changes"), name
