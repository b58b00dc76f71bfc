"""Every id of one owner, tried as everyone else, at every place where an id can be."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.batch_inputs import QUICK, chat_lines, jsonl, line
from tests.support.calls import assert_ours
from tests.support.installation import Installation
from tests.support.manifests import provider
from tests.support.places import PLACES
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until
from tests.support.tenants import (
    ISOLATIONS,
    MODEL,
    OTHERS,
    OWNER,
    UNKNOWN,
    Tenants,
    begin_jobs,
    belongings,
    company,
    job_belongings,
)

# What lists show, and the kinds of what the owner has there.
LISTS = {
    "files": ("input_file", "output_file", "error_file", "training_file"),
    "batches": ("batch",),
    "fine_tuning/jobs": ("job",),
}


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Any, running_upstream: SandboxProcess
) -> Iterator[Installation]:
    env = {**QUICK, "GATEHOUSE_BACKGROUND_POLL_SECONDS": "0"}
    with Installation(tmp_path_factory.mktemp("tenants") / "data", migrated_data, env) as made:
        made.do("team", "red", [OWNER, "bob@red.example"])
        made.do("user", "eve@blue.example")
        made.do("user", "root@blue.example", is_superuser=True)
        team_id = made.do("team_key", "red")
        made.do("virtual_account", "red-service", team_id=team_id)
        made.do("virtual_account", "service")
        made.do("virtual_account", "stranger")
        made.apply(*(provider(name, running_upstream.url, models=[MODEL], isolation=name) for name in ISOLATIONS))
        for name in ISOLATIONS:
            made.do("grant", name, "virtualaccount:red-service")
            made.do("grant", name, "virtualaccount:service")
            made.do("grant", name, "user:may@blue.example", role="manager")
            made.do("change_account", name, register_fine_tuned=True)
        yield made


@pytest.fixture(scope="module")
def tenants(installation: Installation) -> Tenants:
    gateway = installation.gateway()
    tokens = {
        "owner": gateway.token("owner", user=OWNER),
        "same-team": gateway.token("same-team", user="bob@red.example"),
        "service-of-the-team": gateway.token("red-service", virtual_account="red-service"),
        "other-user": gateway.token("other-user", user="eve@blue.example"),
        "service": gateway.token("service", virtual_account="service"),
        "superuser": gateway.token("superuser", user="root@blue.example"),
        "manager": gateway.token("manager", user="may@blue.example"),
        "stranger": gateway.token("stranger", virtual_account="stranger"),
        "revoked": gateway.token("revoked", user=OWNER),
    }
    installation.do("revoke", "revoked")
    wait_until(lambda: gateway.get(tokens["revoked"], "/v1/models").status_code == 401)
    begun = {account: begin_jobs(gateway, tokens["owner"], account) for account in ISOLATIONS}
    ids = {account: belongings(gateway, tokens["owner"], account) for account in ISOLATIONS}
    for account in ISOLATIONS:
        ids[account].update(job_belongings(gateway, tokens["owner"], account, *begun[account]))
    mine = {
        (who, account): company(gateway, tokens[who], account)
        for account in ISOLATIONS
        for who in ("owner", *OTHERS)
        if who != "stranger"
    }
    return Tenants(gateway, tokens, ids, mine)


def told(response: httpx.Response, object_id: str) -> str:
    """What an answer says, but for the id that was asked for."""
    return response.text.replace(object_id, "ID")


def assert_hidden(response: httpx.Response) -> None:
    """Check one of the refusals that don't say whether there is anything."""
    error = response.json()["error"]
    assert error["code"] in ("not_found", "model_not_found", "provider_account_not_found"), response.text
    assert_ours(response, 404, error["code"], error["param"])


def reached(upstream: SandboxProcess) -> list[str]:
    """The paths that callers reached.

    Other tests' background responses may be looked at meanwhile, by the gateway itself.
    """
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
        assert_hidden(foreign)
        assert told(foreign, theirs) == told(unknown, UNKNOWN[place.kind]), place.name
        bare = tenants.call(who, account, place, theirs, header=False)
        bare_unknown = tenants.call(who, account, place, UNKNOWN[place.kind], header=False)
        assert bare.status_code in (400, 404), place.name
        assert told(bare, theirs) == told(bare_unknown, UNKNOWN[place.kind]), place.name
    if account not in OTHERS[who]:
        assert reached(upstream) == []


@pytest.mark.parametrize("account", ISOLATIONS)
def test_lists_show_what_ids_open(tenants: Tenants, account: str) -> None:
    def listed(who: str, path: str, **headers: str) -> httpx.Response:
        asked = {"authorization": f"Bearer {tenants.tokens[who]}", "x-tfy-provider-name": account, **headers}
        return tenants.gateway.http.get(f"{tenants.gateway.origin}/v1/{path}?limit=100", headers=asked)

    for path, kinds in LISTS.items():
        theirs = {tenants.ids[account][kind] for kind in kinds}
        for who in ("owner", *OTHERS):
            shared = who == "owner" or account in OTHERS[who]
            if who == "stranger":
                assert listed(who, path).status_code == 404
                continue
            found = {each["id"] for each in listed(who, path).json()["data"]}
            assert theirs & found == (theirs if shared else set()), (path, who)
            everybodys = listed(who, path, **{"x-gatehouse-scope": "account"})
            if who in ("manager", "superuser"):
                assert theirs <= {each["id"] for each in everybodys.json()["data"]}
            else:
                assert_ours(everybodys, 403, "permission_denied", "x-gatehouse-scope")


@pytest.mark.parametrize("account", ISOLATIONS)
def test_a_fine_tuned_model_in_a_batchs_lines(tenants: Tenants, account: str) -> None:
    for who in ("owner", *OTHERS):
        answers = []
        for name in (tenants.ids[account]["model"], UNKNOWN["model"]):
            headers = {"authorization": f"Bearer {tenants.tokens[who]}", "x-tfy-provider-name": account}
            form = {"data": {"purpose": "batch"}, "files": {"file": ("in.jsonl", jsonl([line(0, model=name)]))}}
            answer = tenants.gateway.http.post(f"{tenants.gateway.origin}/v1/files", headers=headers, **form)
            answers.append((answer.status_code, told(answer, name)))
        if who == "owner" or account in OTHERS[who]:
            assert (answers[0][0], answers[1][0]) == (200, 400), answers
        else:
            assert answers[0] == answers[1]
            assert answers[0][0] == (404 if who == "stranger" else 400)


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
        "input_file": upstream.client().files.create(file=("in.jsonl", chat_lines(1)), purpose="batch").id,
    }
    upstream.clear()
    for place in PLACES:
        if place.spoils:
            continue
        answer = tenants.call("owner", account, place, raw[place.kind])
        if account == "account" and place.kind != "model":  # a model has to be registered
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
        assert_hidden(tenants.call("other-user", "account", place, theirs))
    assert reached(upstream) == []


def test_the_owner_is_told_where_an_object_lives(tenants: Tenants) -> None:
    for place in PLACES:
        if re.search("[A-Z]", place.path) is None and place.path != "conversations" and place.kind != "model":
            answer = tenants.call("owner", "account", place, tenants.ids["owner"][place.kind])
            if place.name == "reasoning":  # a complete item is content: it goes on without its id
                assert answer.status_code == 200
                continue
            error = assert_ours(answer, 400, "object_on_other_account", answer.json()["error"]["param"])
            assert "'owner'" in error["message"]


def test_which_account_a_conversation_is_made_on(tenants: Tenants) -> None:
    token, post = tenants.tokens["owner"], tenants.gateway.post
    assert_ours(post(token, "/v1/conversations", {}), 400, "provider_account_required", "x-tfy-provider-name")
    for account in ISOLATIONS:
        item = {"type": "item_reference", "id": tenants.ids[account]["item"]}
        made = post(token, "/v1/conversations", {"items": [item]})
        assert made.headers["x-tfy-resolved-model"] == account, made.text
        record = tenants.gateway.installation.do("owned", object_id=made.json()["id"])[0]
        assert (record["kind"], record["account_name"], record["owner_name"]) == ("conversation", account, OWNER)


def test_what_a_colleague_lists_first_stays_the_owners(tenants: Tenants, installation: Installation) -> None:
    body = {"model": f"team/{MODEL}", "input": "hi"}
    made = tenants.gateway.post(tenants.tokens["owner"], "/v1/responses", body).json()
    listed = tenants.gateway.get(tenants.tokens["same-team"], f"/v1/responses/{made['id']}/input_items").json()
    item = installation.do("owned", object_id=listed["data"][0]["id"])[0]
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
        "client_metadata": {"thread_id": "x", "file_id": theirs},  # as OpenAI's Codex sends it
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


def test_the_owner_loses_what_access_loses(tenants: Tenants, installation: Installation) -> None:
    """Ids open nothing on an account that their owner may not use any more."""
    place = PLACES[0]
    mine = tenants.ids["team"]["response"]
    assert tenants.call("owner", "team", place, mine, header=False).status_code == 200
    installation.do("ungrant", "team", "everyone")
    try:
        wait_until(lambda: tenants.call("owner", "team", place, mine, header=False).status_code == 404)
    finally:
        installation.do("grant", "team", "everyone")
        wait_until(lambda: tenants.call("owner", "team", place, mine, header=False).status_code == 200)


def test_the_owner_spoils_at_last(tenants: Tenants) -> None:
    """What was refused to others works for the owner, and then the id is gone for the owner, too."""
    ids = tenants.ids["owner"]
    for place in PLACES:
        if place.spoils and place.kind != "item":
            answer = tenants.call("owner", "owner", place, ids[place.kind])
            assert passed_on(answer), (place.name, answer.text)
    for place in (place for place in PLACES if place.name in ("retrieve", "conversation", "output_file-retrieved")):
        answer = tenants.call("owner", "owner", place, ids[place.kind])
        unknown = tenants.call("owner", "owner", place, UNKNOWN[place.kind])
        assert told(answer, ids[place.kind]) == told(unknown, UNKNOWN[place.kind])
