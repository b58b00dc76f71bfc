"""Who sees the passthrough's objects, and what is below them, under each ``isolation``: vector stores and
threads.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.support.calls import assert_ours
from tests.support.installation import Gateway, Installation
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ISOLATIONS = ("owner", "team", "account")
OWNER = "ada@red.example"
# Who else there is, and which isolations let them see what the owner made.
OTHERS = {
    "same-team": {"team", "account"},
    "service-of-the-team": {"team", "account"},
    "other-user": {"account"},
    "superuser": {"account"},
}
MODEL = "gpt-4o-mini"
# Reading first, then what changes something below the object; nothing here spoils it for the next.
PLACES: tuple[tuple[str, str, Any], ...] = (
    ("GET", "vector_stores/{store}", None),
    ("POST", "vector_stores/{store}", {"metadata": {"a": "b"}}),
    ("POST", "vector_stores/{store}/search", {"query": "fact"}),
    ("GET", "vector_stores/{store}/files", None),
    ("GET", "vector_stores/{store}/files/{file}", None),
    ("GET", "vector_stores/{store}/files/{file}/content", None),
    ("POST", "vector_stores/{store}/files/{file}", {"attributes": {"a": "b"}}),
    ("GET", "vector_stores/{store}/file_batches/{batch}", None),
    ("GET", "vector_stores/{store}/file_batches/{batch}/files", None),
    ("POST", "vector_stores", {"file_ids": ["{file}"]}),
    ("POST", "vector_stores/{mine}/files", {"file_id": "{file}"}),
    ("GET", "threads/{thread}", None),
    ("POST", "threads/{thread}", {"metadata": {"a": "b"}}),
    ("GET", "threads/{thread}/messages", None),
    ("POST", "threads/{thread}/messages", {"role": "user", "content": "More."}),
    ("GET", "threads/{thread}/messages/{message}", None),
    ("POST", "threads/{thread}/messages/{message}", {"metadata": {"a": "b"}}),
    ("GET", "threads/{thread}/runs", None),
    ("GET", "threads/{thread}/runs/{run}", None),
    ("POST", "threads/{thread}/runs/{run}", {"metadata": {"a": "b"}}),
    ("GET", "threads/{thread}/runs/{run}/steps", None),
    ("POST", "threads/{thread}/runs", {"assistant_id": "{assistant}"}),
    ("POST", "threads/runs", {"assistant_id": "{assistant}"}),
    ("POST", "threads", {"tool_resources": {"file_search": {"vector_store_ids": ["{store}"]}}}),
)


@dataclass
class Tenants:
    """The server, a token of everyone, what the owner has on each account, and a vector store of everyone's own
    there.
    """

    gateway: Gateway
    tokens: dict[str, str]
    ids: dict[str, dict[str, str]]
    mine: dict[tuple[str, str], str]

    def call(self, who: str, account: str, method: str, path: str, body: Any, ids: dict[str, str]) -> httpx.Response:
        text = json.dumps(body)
        for name, object_id in {**ids, "mine": self.mine[who, account]}.items():
            path, text = path.replace(f"{{{name}}}", object_id), text.replace(f"{{{name}}}", object_id)
        headers = {"authorization": f"Bearer {self.tokens[who]}", "x-tfy-provider-name": account}
        url = f"{self.gateway.origin}/v1/{path}"
        return self.gateway.http.request(
            method, url, json=json.loads(text) if body is not None else None, headers=headers
        )


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Any, running_upstream: SandboxProcess
) -> Iterator[Installation]:
    env = {"GATEHOUSE_BACKGROUND_POLL_SECONDS": "0"}
    with Installation(tmp_path_factory.mktemp("isolation") / "data", migrated_data, env) as made:
        made.do("team", "red", [OWNER, "bob@red.example"])
        made.do("user", "eve@blue.example")
        made.do("user", "root@blue.example", is_superuser=True)
        made.do("virtual_account", "red-service", team_id=made.do("team_key", "red"))
        opened = {"open_resources": ["vector_stores", "assistants"]}
        made.apply(
            *(provider(name, running_upstream.url, models=[MODEL], isolation=name, **opened) for name in ISOLATIONS)
        )
        for name in ISOLATIONS:
            made.do("grant", name, "virtualaccount:red-service")
        yield made


@pytest.fixture(scope="module")
def tenants(installation: Installation) -> Tenants:
    gateway = installation.gateway()
    tokens = {
        "owner": gateway.token("owner", user=OWNER),
        "same-team": gateway.token("same-team", user="bob@red.example"),
        "service-of-the-team": gateway.token("red-service", virtual_account="red-service"),
        "other-user": gateway.token("other-user", user="eve@blue.example"),
        "superuser": gateway.token("superuser", user="root@blue.example"),
    }
    made = Tenants(gateway, tokens, {}, {})
    for account in ISOLATIONS:
        for who, token in tokens.items():
            header = {"x-tfy-provider-name": account}
            made.mine[who, account] = gateway.post(token, "/v1/vector_stores", {}, headers=header).json()["id"]
        with gateway.sdk(tokens["owner"], default_headers={"x-tfy-provider-name": account}) as sdk:
            made.ids[account] = belongings(sdk, account)
    return made


def belongings(sdk: OpenAI, account: str) -> dict[str, str]:
    file = sdk.files.create(file=("facts.txt", b"A fact."), purpose="assistants")
    store = sdk.vector_stores.create(name="facts", file_ids=[file.id])
    wait_until(lambda: sdk.vector_stores.retrieve(store.id).status == "completed")
    assistant = sdk.beta.assistants.create(model=f"{account}/{MODEL}")
    thread = sdk.beta.threads.create(messages=[{"role": "user", "content": "Count from 1 to 5."}])
    with sdk.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
        run: Any = stream.get_final_run()
    return {
        "file": file.id,
        "store": store.id,
        "batch": sdk.vector_stores.file_batches.create(store.id, file_ids=[file.id]).id,
        "assistant": assistant.id,
        "thread": thread.id,
        "message": next(iter(sdk.beta.threads.messages.list(thread.id))).id,
        "run": run.id,
    }


@pytest.mark.parametrize("who", ["owner", *OTHERS])
@pytest.mark.parametrize("account", ISOLATIONS)
def test_who_reaches_what(tenants: Tenants, upstream: SandboxProcess, account: str, who: str) -> None:
    ids = tenants.ids[account]
    unknown = {name: f"{name}_unknown" for name in ids}
    for method, path, body in PLACES:
        answer = tenants.call(who, account, method, path, body, ids)
        if who == "owner" or account in OTHERS[who]:
            assert answer.status_code == 200, (method, path, answer.text)
            continue
        absent = tenants.call(who, account, method, path, body, unknown)
        assert_ours(answer, 404, "not_found", answer.json()["error"]["param"])
        assert masked(answer.text, ids) == masked(absent.text, unknown), (method, path)
    if who != "owner" and account not in OTHERS[who]:
        assert upstream.requests() == []


def masked(text: str, ids: dict[str, str]) -> str:
    """What an answer says, but for the ids that were asked for."""
    for name, object_id in ids.items():
        text = text.replace(object_id, name)
    return text


@pytest.mark.parametrize("who", OTHERS)
@pytest.mark.parametrize("account", ISOLATIONS)
@pytest.mark.parametrize(("path", "kind"), [("vector_stores", "store"), ("assistants", "assistant")])
def test_who_lists_what(tenants: Tenants, account: str, who: str, path: str, kind: str) -> None:
    for name in ("owner", who):
        seen: list[str] = []
        more = True
        while more:
            after = f"&after={seen[-1]}" if seen else ""
            page = tenants.call(name, account, "GET", f"{path}?limit=2{after}", None, {}).json()
            seen += [entry["id"] for entry in page["data"]]
            more = page["has_more"]
        assert (tenants.ids[account][kind] in seen) is (name == "owner" or account in OTHERS[who])
        if path == "vector_stores":
            assert tenants.mine[name, account] in seen


def test_a_cursor_of_another_caller_shows_nothing(tenants: Tenants) -> None:
    for account, who in (("owner", "same-team"), ("team", "other-user")):
        after = tenants.ids[account]["store"]
        answer = tenants.call(who, account, "GET", f"vector_stores?after={after}", None, {})
        absent = tenants.call(who, account, "GET", "vector_stores?after=vs_unknown", None, {})
        assert answer.status_code == absent.status_code == 400
        assert answer.text.replace(after, "vs_unknown") == absent.text


@pytest.mark.parametrize("path", ["vector_stores/{store}", "threads/{thread}", "threads/{thread}/runs/{run}"])
def test_another_accounts_openness_opens_nothing(tenants: Tenants, upstream: SandboxProcess, path: str) -> None:
    """The three accounts share one upstream: what is closed on one must not be reached through the open one."""
    for account in ("owner", "team"):
        answer = tenants.call("other-user", "account", "GET", path, None, tenants.ids[account])
        assert answer.status_code == 404, path
    assert upstream.requests() == []
