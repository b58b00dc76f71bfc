"""Every id of one owner, tried as everybody else, at every place where an id can stand."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.gateway.calls import assert_ours
from tests.gateway.manifests import provider
from tests.gateway.places import PLACES, Place
from tests.gateway.server import Gateway, House
from tests.sandbox.server import SandboxProcess
from tests.servers import wait_until

ISOLATIONS = ("owner", "team", "account")
OWNER = "ada@red.example"
# Who else there is, and which isolations let them see what the owner made.
OTHERS = {
    "same-team": {"team", "account"},
    "service-of-the-team": {"team", "account"},
    "other-user": {"account"},
    "service": {"account"},
    "superuser": {"account"},
}
UNKNOWN = {
    "response": "resp_" + 48 * "0",
    "conversation": "conv_" + 48 * "0",
    "item": "msg_" + 48 * "0",
    "file": "file-" + 24 * "0",
    "vector_store": "vs_" + 24 * "0",
    "container": "cntr_" + 24 * "0",
}
MODEL = "gpt-4o-mini"


@dataclass
class Tenants:
    """The server, a token of everybody, what the owner has on each account, and an own conversation of everybody there."""

    gateway: Gateway
    tokens: dict[str, str]
    ids: dict[str, dict[str, str]]
    mine: dict[tuple[str, str], str]

    def call(self, who: str, account: str, place: Place, object_id: str, *, header: bool = True) -> httpx.Response:
        """Send one call with ``object_id`` at ``place``."""
        mine = self.mine.get((who, account), "conv_none")
        named = {"ID": object_id, "MODEL": f"{account}/{MODEL}", "MINE": mine, "ITS": self.ids[account]["its"]}
        body, path = json.dumps(place.body), place.path
        for name, value in named.items():
            body, path = body.replace(f'"{name}"', f'"{value}"'), path.replace(name, value)
        headers = {"authorization": f"Bearer {self.tokens[who]}", "content-type": "application/json"}
        if header:
            headers["x-tfy-provider-name"] = account
        content = body.encode() if place.body is not None else None
        url = f"{self.gateway.origin}/v1/{path}"
        return self.gateway.http.request(place.method, url, content=content, headers=headers)


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Any, running_upstream: SandboxProcess
) -> Iterator[House]:
    env = {"GATEHOUSE_BACKGROUND_POLL_SECONDS": "0"}
    with House(tmp_path_factory.mktemp("tenants") / "data", migrated_data, env) as made:
        made.do("team", "red", [OWNER, "bob@red.example"])
        made.do("user", "eve@blue.example")
        made.do("user", "root@blue.example", is_superuser=True)
        team_id = made.do("team_key", "red")
        made.do("virtual_account", "red-service", team_id=team_id)
        made.do("virtual_account", "service")
        made.apply(*(provider(name, running_upstream.url, models=[MODEL], isolation=name) for name in ISOLATIONS))
        for name in ISOLATIONS:
            made.do("grant", name, "virtualaccount:red-service")
            made.do("grant", name, "virtualaccount:service")
        yield made


@pytest.fixture(scope="module")
def tenants(house: House) -> Tenants:
    gateway = house.gateway()
    tokens = {
        "owner": gateway.token("owner", user=OWNER),
        "same-team": gateway.token("same-team", user="bob@red.example"),
        "service-of-the-team": gateway.token("red-service", virtual_account="red-service"),
        "other-user": gateway.token("other-user", user="eve@blue.example"),
        "service": gateway.token("service", virtual_account="service"),
        "superuser": gateway.token("superuser", user="root@blue.example"),
        "revoked": gateway.token("revoked", user=OWNER),
    }
    house.do("revoke", "revoked")
    wait_until(lambda: gateway.get(tokens["revoked"], "/v1/models").status_code == 401)
    ids = {account: belongings(gateway, tokens["owner"], account) for account in ISOLATIONS}
    made = Tenants(gateway, tokens, ids, {})
    for account in ISOLATIONS:
        for who in ("owner", *OTHERS):
            answer = gateway.post(tokens[who], "/v1/conversations", {}, headers={"x-tfy-provider-name": account})
            made.mine[who, account] = answer.json()["id"]
    return made


def belongings(gateway: Gateway, token: str, account: str) -> dict[str, str]:
    """Make an object of each kind for the owner; files and vector stores are only written down as the owner's."""
    body = {"model": f"{account}/{MODEL}", "input": "Run code. [[sandbox: queued=1 working=1]]"}
    tool = {"type": "code_interpreter", "container": {"type": "auto"}}
    made = gateway.post(token, "/v1/responses", {**body, "tools": [tool]}).json()
    header = {"x-tfy-provider-name": account}
    said = {"items": [{"type": "message", "role": "user", "content": "hi"}]}
    conversation = gateway.post(token, "/v1/conversations", said, headers=header).json()
    items = gateway.get(token, f"/v1/conversations/{conversation['id']}/items").json()["data"]
    for kind in ("file", "vector_store"):
        gateway.house.do("own", f"{kind}-of-{account}", kind, account, OWNER)
    return {
        "response": made["id"],
        "item": made["output"][-1]["id"],
        "container": made["output"][0]["container_id"],
        "conversation": conversation["id"],
        "its": items[0]["id"],
        "file": f"file-of-{account}",
        "vector_store": f"vector_store-of-{account}",
    }


def told(response: httpx.Response, object_id: str) -> str:
    """What an answer tells, but for the id that was asked for."""
    return response.text.replace(object_id, "ID")


def reached(upstream: SandboxProcess) -> list[str]:
    """The paths that callers reached. Other tests' background responses may be looked at meanwhile, by the gateway itself."""
    looked: Any = ["user-agent", "gatehouse"]
    return [row["path"] for row in upstream.requests() if looked not in [list(pair) for pair in row["headers"]]]


def passed_on(response: httpx.Response) -> bool:
    """Whether the upstream was asked: the answer is not a refusal of ours."""
    return response.headers.get("x-gatehouse-error-origin") != "gateway"


@pytest.mark.parametrize("who", OTHERS)
@pytest.mark.parametrize("account", ISOLATIONS)
def test_everybody_else_everywhere(tenants: Tenants, upstream: SandboxProcess, account: str, who: str) -> None:
    for place in PLACES:
        theirs = tenants.ids[account][place.kind]
        if account in OTHERS[who]:
            if not place.spoils:
                assert passed_on(tenants.call(who, account, place, theirs)), place.name
            continue
        foreign = tenants.call(who, account, place, theirs)
        unknown = tenants.call(who, account, place, UNKNOWN[place.kind])
        assert_ours(foreign, 404, "not_found", foreign.json()["error"]["param"])
        assert told(foreign, theirs) == told(unknown, UNKNOWN[place.kind]), place.name
        bare = tenants.call(who, account, place, theirs, header=False)
        if "MODEL" in json.dumps(place.body) or place.path != "conversations":
            assert bare.status_code == 404, place.name
    if account not in OTHERS[who]:
        assert reached(upstream) == []


@pytest.mark.parametrize("account", ISOLATIONS)
def test_the_owner_everywhere(tenants: Tenants, account: str) -> None:
    for place in PLACES:
        if place.spoils:
            continue
        answer = tenants.call("owner", account, place, tenants.ids[account][place.kind])
        assert passed_on(answer), (place.name, answer.text)


@pytest.mark.parametrize("account", ISOLATIONS)
def test_ids_made_outside(tenants: Tenants, upstream: SandboxProcess, account: str) -> None:
    outside = upstream.post("/responses", {"model": MODEL, "input": "hi"}).json()
    raw = {
        **UNKNOWN,
        "response": outside["id"],
        "item": outside["output"][0]["id"],
        "conversation": upstream.post("/conversations", {}).json()["id"],
    }
    upstream.clear()
    for place in PLACES:
        if place.spoils:
            continue
        answer = tenants.call("owner", account, place, raw[place.kind])
        if account == "account":
            assert passed_on(answer), (place.name, answer.text)
        else:
            unknown = tenants.call("owner", account, place, UNKNOWN[place.kind])
            assert answer.status_code == 404
            assert told(answer, raw[place.kind]) == told(unknown, UNKNOWN[place.kind]), place.name
    if account != "account":
        assert reached(upstream) == []


def test_another_accounts_openness_opens_nothing(tenants: Tenants, upstream: SandboxProcess) -> None:
    """The three accounts share one upstream: what is closed on one must not be reached through the open one."""
    for place in PLACES:
        theirs = tenants.ids["owner"][place.kind]
        answer = tenants.call("other-user", "account", place, theirs)
        assert_ours(answer, 404, "not_found", answer.json()["error"]["param"])
    assert reached(upstream) == []


def test_the_owner_is_told_where_an_object_lives(tenants: Tenants) -> None:
    for place in PLACES:
        if place.path in ("responses", "responses/input_tokens", "responses/compact", "chat/completions"):
            answer = tenants.call("owner", "account", place, tenants.ids["owner"][place.kind])
            error = assert_ours(answer, 400, "object_on_other_account", answer.json()["error"]["param"])
            assert "'owner'" in error["message"]


def test_which_account_a_conversation_is_made_on(tenants: Tenants) -> None:
    token, post = tenants.tokens["owner"], tenants.gateway.post
    assert_ours(post(token, "/v1/conversations", {}), 400, "provider_account_required", "x-tfy-provider-name")
    for account in ISOLATIONS:
        item = {"type": "item_reference", "id": tenants.ids[account]["item"]}
        made = post(token, "/v1/conversations", {"items": [item]})
        assert made.headers["x-tfy-resolved-model"] == account, made.text
        record = tenants.gateway.house.do("owned", object_id=made.json()["id"])[0]
        assert (record["kind"], record["account_name"], record["owner_name"]) == ("conversation", account, OWNER)


def test_what_a_colleague_lists_first_stays_the_owners(tenants: Tenants, house: House) -> None:
    body = {"model": f"team/{MODEL}", "input": "hi"}
    made = tenants.gateway.post(tenants.tokens["owner"], "/v1/responses", body).json()
    listed = tenants.gateway.get(tenants.tokens["same-team"], f"/v1/responses/{made['id']}/input_items").json()
    item = house.do("owned", object_id=listed["data"][0]["id"])[0]
    assert (item["kind"], item["owner_name"]) == ("item", OWNER)


def test_a_revoked_token_opens_nothing(tenants: Tenants, upstream: SandboxProcess) -> None:
    for place in PLACES:
        assert_ours(tenants.call("revoked", "owner", place, tenants.ids["owner"][place.kind]), 401, "token_revoked")
    assert reached(upstream) == []


@pytest.mark.parametrize(
    "bad", ["..%2fmodels", "resp_1%2f..%2f..", "resp_1%00", "resp_1%20", "%2e%2e", "a" * 201, "resp_ü"]
)
def test_no_id_leads_astray(tenants: Tenants, upstream: SandboxProcess, bad: str) -> None:
    for path in ("responses/{}", "responses/{}/input_items", "conversations/{}", "conversations/{}/items"):
        answer = tenants.gateway.get(tenants.tokens["owner"], "/v1/" + path.format(bad))
        assert answer.status_code == 404, (path, answer.text)
    assert reached(upstream) == []


@pytest.mark.parametrize("pad", ["", "x" * 5000], ids=["short", "long"])
@pytest.mark.parametrize(
    "sneaky",
    [
        '[{"role":"user","content":[{"type":"input_file","file\\u005fid":"THEIRS"}]}]',
        '[{"type":"item_reference","i\\u0064":"THEIRS"}]',
        '[{"role":"user","content":[{"type":"input_file","file_id":"THEIRS","file_id":null}]}]',
        '[{"role":"user","content":[{"type":"input_file","file_id":null,"file_id":"THEIRS"}]}]',
        '[{"type":"item_reference","id":"THEIRS","id":"msg_mine"}]',
        '[{"type":"item_reference","id":"THEIRS "}]',
    ],
)
def test_no_spelling_hides_an_id(tenants: Tenants, upstream: SandboxProcess, sneaky: str, pad: str) -> None:
    theirs = tenants.ids["owner"]["item" if "item" in sneaky else "file"]
    body = f'{{"model":"owner/gpt-4o-mini","instructions":"{pad}","input":{sneaky.replace("THEIRS", theirs)}}}'
    answer = tenants.gateway.post(tenants.tokens["other-user"], "/v1/responses", content=body.encode())
    assert answer.json()["error"]["code"] in ("not_found", "duplicate_field"), answer.text
    assert reached(upstream) == []


def test_what_only_looks_like_an_id_passes(tenants: Tenants) -> None:
    """Metadata, schemas of functions, what an earlier answer cited: names in there refer to nothing."""
    theirs = tenants.ids["owner"]["file"]
    cited = {"type": "file_citation", "file_id": theirs, "filename": "a.txt", "index": 0}
    said = {"type": "output_text", "text": "hi", "annotations": [cited]}
    body = {
        "model": f"owner/{MODEL}",
        "metadata": {"file_id": theirs, "conversation": "mine", "thread_id": "7"},
        "input": [
            {"role": "user", "content": "hi"},
            {"type": "message", "id": "msg_echo", "status": "completed", "role": "assistant", "content": [said]},
            {"role": "user", "content": "go on"},
        ],
        "tools": [
            {
                "type": "function",
                "name": "open",
                "strict": False,
                "parameters": {"type": "object", "properties": {"file_id": {"type": "string", "default": theirs}}},
            }
        ],
    }
    answer = tenants.gateway.post(tenants.tokens["other-user"], "/v1/responses", body)
    assert answer.status_code == 200, answer.text


def test_the_owner_loses_what_access_loses(tenants: Tenants, house: House) -> None:
    """Ids open nothing on an account that their owner may not use any more."""
    place = PLACES[0]
    mine = tenants.ids["team"]["response"]
    assert tenants.call("owner", "team", place, mine, header=False).status_code == 200
    house.do("ungrant", "team", "everyone")
    try:
        wait_until(lambda: tenants.call("owner", "team", place, mine, header=False).status_code == 404)
    finally:
        house.do("grant", "team", "everyone")
        wait_until(lambda: tenants.call("owner", "team", place, mine, header=False).status_code == 200)


def test_the_owner_spoils_at_last(tenants: Tenants) -> None:
    """What was refused to others works for the owner, and then the id is gone for the owner, too."""
    ids = tenants.ids["owner"]
    for place in PLACES:
        if place.spoils and place.kind != "item":
            answer = tenants.call("owner", "owner", place, ids[place.kind])
            assert passed_on(answer), (place.name, answer.text)
    for place in (place for place in PLACES if place.name in ("retrieve", "conversation")):
        answer = tenants.call("owner", "owner", place, ids[place.kind])
        unknown = tenants.call("owner", "owner", place, UNKNOWN[place.kind])
        assert told(answer, ids[place.kind]) == told(unknown, UNKNOWN[place.kind])
