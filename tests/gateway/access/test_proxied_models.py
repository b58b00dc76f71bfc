"""Models that a call through ``/proxy/`` names are found wherever they are, and checked by any of their names."""

import json
from typing import Any

import pytest

from gateway.access import hidden_models, proxied_models
from gateway.body.mentions import Mentions, read_body
from gateway.call.errors import InvalidRequest, ModelNotFound
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
