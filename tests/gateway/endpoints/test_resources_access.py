"""Who may do what with the passthrough's resources: closed until they are opened, and each object its owner's alone."""

from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI, PermissionDeniedError

from gateway.call.errors import NotFound
from gateway.endpoints.resource_place import operation_of, place_of
from gateway.objects.resource_table import RESOURCES, SWITCHES
from providers.choices import RESOURCE_SWITCHES, resource_fault
from tests.support.calls import assert_ours
from tests.support.servers import wait_until
from tests.support.surface import Surface

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ROWS = {row.path: row for row in RESOURCES}
WIDE = {"x-tfy-provider-name": "wide"}
MODEL = "wide/gpt-4o-mini"


def send(surface: Surface, token: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    given = {"authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return surface.gateway.http.request(method, f"{surface.gateway.origin}/v1/{path}", json=body, headers=given)


# --- the table ----------------------------------------------------------------------------------------------


def test_the_switches_of_accounts_are_those_of_the_table() -> None:
    assert SWITCHES == RESOURCE_SWITCHES
    assert resource_fault([*SWITCHES, "*"]) is None
    assert "'vectors' is not a valid resource" in str(resource_fault(["vectors"]))


@pytest.mark.parametrize(
    ("path", "rest", "method", "name", "makes", "billed"),
    [
        ("threads", "", "POST", "thread.create", "thread", ""),
        ("threads", "thread_1/runs", "POST", "thread.runs.create", "run", "chat"),
        ("threads", "runs", "POST", "thread.runs.create", "thread", "chat"),
        (
            "threads",
            "thread_1/runs/run_1/submit_tool_outputs",
            "POST",
            "thread.runs.submit_tool_outputs.create",
            "",
            "chat",
        ),
        ("threads", "thread_1/runs/run_1", "POST", "thread.runs.update", "", ""),
        ("videos", "", "POST", "video.create", "video", "video"),
        ("videos", "video_1/remix", "POST", "video.remix.create", "video", "video"),
        ("videos", "characters", "POST", "video.characters.create", "video_character", ""),
        ("videos", "characters/char_1", "GET", "video.characters.retrieve", "", ""),
        ("videos", "video_1/content", "GET", "video.content.list", "", ""),
        ("vector_stores", "vs_1", "DELETE", "vector_store.delete", "", ""),
        ("agents/sessions", "sess_1/events", "POST", "agent_session.events.create", "agent_session", "responses"),
    ],
)
def test_operations(path: str, rest: str, method: str, name: str, makes: str, billed: str) -> None:
    operation = operation_of(ROWS[path], place_of(ROWS[path], rest), method)
    created = operation.creates.kind if operation.creates is not None else ""
    assert (operation.name, created, operation.model_type) == (name, makes, billed)
    assert operation.charges is bool(billed)


@pytest.mark.parametrize("rest", ["..", "vs_1/../vs_2", "vs%2F2", "a b", "-a", "a" * 201, "vs_1/files/.."])
def test_what_can_be_no_id_is_not_found(rest: str) -> None:
    with pytest.raises(NotFound):
        place_of(ROWS["vector_stores"], rest)


# --- closed until opened ------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", RESOURCES, ids=lambda row: row.path.replace("/", "-"))
def test_closed_by_default_with_the_way_to_open(surface: Surface, row: Any) -> None:
    answer = send(surface, surface.ada, "POST", row.path, {}, x_tfy_provider_name="shut")
    error = assert_ours(answer, 403, "resource_closed")
    assert f"open_resources: [{row.switch}]" in error["message"]
    assert surface.upstream.requests() == []


def test_a_switch_opens_its_rows_alone(surface: Surface) -> None:
    surface.installation.do("change_account", "shut", open_resources=["assistants"])
    try:
        wait_until(
            lambda: send(surface, surface.ada, "POST", "threads", {}, x_tfy_provider_name="shut").status_code == 200
        )
        refused = send(surface, surface.ada, "POST", "vector_stores", {}, x_tfy_provider_name="shut")
        assert_ours(refused, 403, "resource_closed")
    finally:
        surface.installation.do("change_account", "shut", open_resources=[])
        wait_until(
            lambda: send(surface, surface.ada, "POST", "threads", {}, x_tfy_provider_name="shut").status_code == 403
        )


def test_an_unknown_switch_is_refused_kindly(surface: Surface) -> None:
    with pytest.raises(RuntimeError, match="'vectors' is not a valid resource"):
        surface.installation.do("change_account", "shut", open_resources=["vectors"])


# --- whose they are -----------------------------------------------------------------------------------------


def made(sdk: OpenAI) -> dict[str, str]:
    """Make one object of each kind."""
    file = sdk.files.create(file=("a.txt", b"text"), purpose="assistants", extra_headers=WIDE)
    return {
        "file": file.id,
        "store": sdk.vector_stores.create(name="a").id,
        "container": sdk.containers.create(name="a").id,
        "video": sdk.videos.create(model="wide/sora-2", prompt="A cat.").id,
        "assistant": sdk.beta.assistants.create(model=MODEL).id,
        "thread": sdk.beta.threads.create().id,
    }


PLACES: tuple[tuple[str, str, Any], ...] = (
    ("GET", "vector_stores/{store}", None),
    ("POST", "vector_stores/{store}", {"name": "b"}),
    ("DELETE", "vector_stores/{store}", None),
    ("GET", "vector_stores/{store}/files", None),
    ("POST", "vector_stores/{store}/files", {"file_id": "file-any"}),
    ("POST", "vector_stores/{store}/search", {"query": "a"}),
    ("POST", "vector_stores", {"file_ids": ["{file}"]}),
    ("GET", "containers/{container}", None),
    ("GET", "containers/{container}/files/cfile_1/content", None),
    ("POST", "containers", {"name": "a", "file_ids": ["{file}"]}),
    ("GET", "videos/{video}", None),
    ("GET", "videos/{video}/content", None),
    ("POST", "videos/{video}/remix", {"prompt": "a"}),
    ("POST", "videos/edits", {"prompt": "a", "video": {"id": "{video}"}}),
    ("POST", "videos/extensions", {"prompt": "a", "seconds": "4", "video": "{video}"}),
    ("GET", "assistants/{assistant}", None),
    ("POST", "assistants", {"model": MODEL, "tool_resources": {"file_search": {"vector_store_ids": ["{store}"]}}}),
    ("GET", "threads/{thread}", None),
    ("GET", "threads/{thread}/messages", None),
    ("POST", "threads/{thread}/runs", {"assistant_id": "asst_any"}),
    ("POST", "threads/runs", {"assistant_id": "{assistant}"}),
    ("POST", "threads", {"messages": [{"role": "user", "content": "a", "attachments": [{"file_id": "{file}"}]}]}),
)


def filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, str):
        return value.format(**ids)
    if isinstance(value, dict):
        return {name: filled(child, ids) for name, child in value.items()}
    return [filled(child, ids) for child in value] if isinstance(value, list) else value


def test_another_callers_ids_are_not_found_anywhere(surface: Surface) -> None:
    ids = made(surface.sdk())
    unknown = {name: f"{name}_unknown" for name in ids}
    surface.upstream.clear()
    for method, path, body in PLACES:
        answers = [
            send(surface, surface.bob, method, filled(path, names), filled(body, names), x_tfy_provider_name="wide")
            for names in (ids, unknown)
        ]
        for answer, names in zip(answers, (ids, unknown), strict=True):
            assert answer.status_code == 404, (method, path, answer.text)
            assert any(object_id in answer.text for object_id in names.values())
    assert surface.upstream.requests() == []


@pytest.mark.parametrize(
    ("path", "part", "kind"),
    [
        ("videos/edits", "video[id]", "video"),
        ("videos", "input_reference[file_id]", "file"),
        ("containers", "file_ids[]", "file"),
        ("vector_stores", "file_ids", "file"),
    ],
)
def test_ids_in_forms_are_checked_too(surface: Surface, path: str, part: str, kind: str) -> None:
    ids = made(surface.sdk())
    surface.upstream.clear()
    headers = {"authorization": f"Bearer {surface.bob}", **WIDE}
    files: Any = [("prompt", (None, "a")), (part, (None, ids[kind])), ("model", (None, "sora-2"))]
    answer = surface.gateway.http.post(f"{surface.gateway.origin}/v1/{path}", files=files, headers=headers)
    assert_ours(answer, 404, "not_found", part.split("[")[0] if kind == "video" or "ids" in part else "file_id")
    assert surface.upstream.requests() == []


def test_lists_hold_ones_own(surface: Surface) -> None:
    ada, bob = surface.sdk(), surface.sdk(surface.bob)
    mine = [ada.vector_stores.create(name=str(number)).id for number in range(3)]
    theirs = bob.vector_stores.create(name="b").id
    assert [each.id for each in ada.vector_stores.list(limit=2)][:3] == mine[::-1]
    assert theirs not in [each.id for each in ada.vector_stores.list()]
    assert theirs in [each.id for each in bob.vector_stores.list()]
    assert [each.id for each in ada.vector_stores.list(order="desc", before=mine[1])] == [mine[2]]
    surface.upstream.client().vector_stores.delete(mine[2])  # gone without us
    assert [each.id for each in ada.vector_stores.list(limit=1)][:2] == mine[1::-1]
    with pytest.raises(BadRequestError, match="'name' is not supported"):
        ada.containers.list(name="a")
    with pytest.raises(BadRequestError, match="names no object of this list"):
        ada.vector_stores.list(after=theirs)


def test_an_account_that_shares_everything(surface: Surface) -> None:
    made_outside = surface.upstream.client().vector_stores.create(name="outside").id
    ada = surface.sdk(account="wide")
    with pytest.raises(NotFoundError):
        ada.vector_stores.retrieve(made_outside)
    surface.installation.do("change_account", "wide", isolation="account")
    try:
        wait_until(
            lambda: (
                send(
                    surface, surface.ada, "GET", f"vector_stores/{made_outside}", x_tfy_provider_name="wide"
                ).is_success
            )
        )
        assert made_outside in [each.id for each in ada.vector_stores.list()]
        alone = surface.gateway.token("alone", ["wide"], user="ada@example.com")  # needs no header
        assert surface.sdk(alone).vector_stores.retrieve(made_outside).id == made_outside
        with pytest.raises(NotFoundError, match="No object with id"):
            surface.sdk().vector_stores.retrieve(made_outside)
    finally:
        surface.installation.do("change_account", "wide", isolation="owner")
        wait_until(
            lambda: (
                not send(
                    surface, surface.ada, "GET", f"vector_stores/{made_outside}", x_tfy_provider_name="wide"
                ).is_success
            )
        )


# --- models and accounts ------------------------------------------------------------------------------------


def test_models_in_bodies_are_checked(surface: Surface) -> None:
    sdk = surface.sdk()
    with pytest.raises(NotFoundError, match="does not exist"):
        sdk.beta.assistants.create(model="wide/gpt-unknown")
    with pytest.raises(BadRequestError, match="video is not supported for the model"):
        sdk.videos.create(model="wide/gpt-4o-mini", prompt="a")  # type: ignore[arg-type]
    with pytest.raises(BadRequestError, match="on another account"):
        surface.sdk(account="wide").beta.assistants.create(model="media/gpt-4o-mini")
    grader: Any = {"type": "score_model", "name": "g", "model": "foreign-model", "input": []}
    with pytest.raises(NotFoundError, match="foreign-model"):
        sdk.evals.create(data_source_config={"type": "custom", "item_schema": {}}, testing_criteria=[grader])
    assert surface.upstream.requests() == []


def test_the_account_comes_from_the_models_prefix(surface: Surface) -> None:
    with pytest.raises(PermissionDeniedError, match="not open on the provider account 'shut'"):
        surface.sdk().beta.assistants.create(model="shut/gpt-4o-mini")


def test_what_has_no_list_says_so(surface: Surface) -> None:
    assert_ours(send(surface, surface.ada, "GET", "threads", x_tfy_provider_name="wide"), 405, "method_not_allowed")
