"""Models that a call through ``/proxy/`` names are found wherever they are, and checked by any of their names."""

import json
from typing import Any

import pytest

from gateway.access import hidden_models, proxied_models
from gateway.body.mentions import Mentions, read_body
from gateway.call.errors import InvalidRequest, ModelNotFound
from gateway.call.operation import Operation
from gateway.objects import operations
from gateway.objects.resource_table import RESOURCES
from tests.support.snapshots import account, caller, model

CLOSED = frozenset({"user:2"})
HERE = account(model("open", "gpt-4o-mini"), model("gpt-4o", subjects=CLOSED), any_model=True)
JSON = b"application/json"


def check(body: bytes = b"", path: str = "", content_type: bytes = JSON, who: Any = None) -> None:
    who = who or caller()
    found = Mentions(hidden_models.looked_for(who, HERE))
    found.add_path(path)
    if body:
        read_body(found, body, content_type)
    proxied_models.check(who, HERE, found.models, {*found.words, *found.routing}, found.in_path)


@pytest.mark.parametrize(
    "path", ["v1beta/models/o3:generateContent", "openai/deployments/o3/chat/completions", "v1/engines/o3/completions"]
)
def test_a_limited_token_reaches_no_other_model_by_the_path(path: str) -> None:
    body = b'{"model":"gpt-4o-mini"}'
    check(body, path)
    limited = caller("acme/open")
    with pytest.raises(ModelNotFound):
        check(body, path, who=limited)
    for allowed in (path.replace("o3", "gpt-4o-mini"), "v1/chat/completions"):
        check(body, allowed, who=limited)
    check(b"{}", path.replace("o3", "gpt-4o-mini"), who=limited)
    with pytest.raises(ModelNotFound):
        check(b"{}", "v1/chat/completions", who=limited)


DOUBLE = [
    b'{"model":"gpt-4o","model":"gpt-4o-mini"}',
    b'{"a":[{"model":"gpt-4o","model":null}]}',
    b'{"a":{"b":"gpt-4o","b":1e3,"c":1e3}}',
    b'{"a":"{\\"model\\":\\"gpt-4o\\",\\"model\\":1}"}',
    b'{"model":"a"}\n{"x":{"model":"gpt-4o","model":"a"}}',
]


@pytest.mark.parametrize("body", DOUBLE)
def test_a_name_given_twice_is_refused_at_every_depth(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="given twice"):
        check(body, content_type=b"application/x-ndjson" if b"\n" in body else JSON)


def test_a_name_given_twice_in_a_forms_json_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="given twice"):
        check(b'a={"model":"gpt-4o","model":""}', content_type=b"application/x-www-form-urlencoded")


NAMING: list[dict[str, Any]] = [
    {name: "NAME"}
    for name in ("modelVersion", "model_version", "deploymentId", "deploymentName", "modelArn", "llm", "model\u017f")
]
NAMING += [{"anything": "NAME"}, {"a": [{"b": ["x", "NAME"]}]}, {"a": {"NAME": 1}}]


@pytest.mark.parametrize("body", NAMING, ids=json.dumps)
def test_no_field_names_a_model_of_others(body: dict[str, Any]) -> None:
    for written in ("gpt-4o", "GPT-4o", "models/gpt-4o", "gpt-4o-2024-08-06", " gpt-4o "):
        for text in (json.dumps(body), json.dumps(body, ensure_ascii=False)):
            with pytest.raises(ModelNotFound):
                check(text.replace("NAME", written).encode())
    check(json.dumps(body).replace("NAME", "gpt-4o-mini").encode())


@pytest.mark.parametrize("name", ["gpt-4*", "*", "gpt-4?", "gpt-4[o]", "(gpt|x)", "gpt-4%"])
def test_a_pattern_is_refused_where_models_are_narrowed(name: str) -> None:
    with pytest.raises(ModelNotFound):
        check(json.dumps({"model": name}).encode())


def test_a_form_is_read_with_both_kinds_of_marks_between() -> None:
    with pytest.raises(ModelNotFound):
        check(b"a=1;model=gpt-4o", content_type=b"application/x-www-form-urlencoded")


def test_what_is_said_of_a_model_passes() -> None:
    check(json.dumps({"prompt": "Compare gpt-4o with others.", "model": "gpt-4o-mini"}).encode())


@pytest.mark.parametrize(
    "name", ["ft:gpt-4o:org::x", "FT:GPT-4O", "models/ft:gpt-4o-2024-08-06:org::x", "acme/ft:gpt-4o:o"]
)
def test_what_was_made_of_a_model_of_others_is_refused(name: str) -> None:
    for body, path in ((json.dumps({"model": name}).encode(), ""), (b"", f"v1/models/{name}")):
        with pytest.raises(ModelNotFound):
            check(body, path)
    check(json.dumps({"model": "ft:gpt-4o-mini:org::x"}).encode())
    tuned = account(model("gpt-4o", subjects=CLOSED), model("tuned", "ft:gpt-4o:org::mine"), any_model=True)
    proxied_models.check(caller(), tuned, ["ft:gpt-4o:org::mine"], ["ft:gpt-4o:org::mine"])


UNNAMED = [
    *(each.path for each in vars(operations).values() if isinstance(each, Operation) and each.unnamed),
    *(
        f"{row.path}{action}"
        for row in RESOURCES
        if row.unnamed
        for action in ("", "/edits", "/extensions", "/v1/remix")
    ),
    *("realtime/client_secrets", "realtime/calls", "realtime/sessions"),
]


@pytest.mark.parametrize("path", [path for path in UNNAMED if path != "realtime"])
def test_where_the_vendor_takes_a_model_of_its_own(path: str) -> None:
    """A stored prompt, or the vendor's default, could be a model of others."""
    for address in (f"v1/{path}", path, f"V1/{path.title()}"):
        with pytest.raises(ModelNotFound, match="Name a 'model'"):
            proxied_models.check_unnamed(caller(), HERE, address, [""])
        proxied_models.check_unnamed(caller(), HERE, address, ["gpt-4o-mini"])
        proxied_models.check_unnamed(caller(principals=frozenset({"user:1", "user:2"})), HERE, address, [])
    proxied_models.check_unnamed(caller(), HERE, "v1/responses/resp_1/cancel", [])


@pytest.mark.parametrize(
    ("asked", "names", "found"),
    [
        ("gpt-4o-mini", ["gpt-4o-mini"], ["open"]),
        ("open", [], ["open"]),
        ("acme/open", [], ["open"]),
        ("models/GPT-4o-mini", [], ["open"]),
        ("gpt-4o-mini-2024-07-18", [], ["open"]),
        ("OPEN", [], ["open"]),
        ("", ["gpt-4o", "open", ""], ["gpt-4o", "open"]),
        ("open", ["gpt-4o", "open"], ["open", "gpt-4o"]),
        ("gpt-4o-fast", [], ["gpt-4o-fast"]),
        ("", [], []),
    ],
)
def test_rules_know_which_models_a_call_names(asked: str, names: list[str], found: list[str]) -> None:
    assert [model.name for model in proxied_models.meant(HERE, asked, names)] == found
