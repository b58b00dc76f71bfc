"""No way of writing a model's name, and no place for it, leads around what a caller may call."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.access import models as access
from gateway.access import vendor_names
from gateway.access.model_names import plain, stem, stems
from gateway.access.named_models import check_configuration, for_account
from gateway.body.json import decode_fields
from gateway.call.errors import Forbidden, InvalidRequest, ModelNotFound
from providers.routing.naming import is_naming
from tests.support.snapshots import account, caller, model

CLOSED = frozenset({"user:2"})
# What vendors take for one model, each form of a name that some vendor documents.
FORMS = [
    "{}",
    "models/{}",
    "MODELS/{}",
    "{}:latest",
    "{}-latest",
    "{}-preview",
    "{}-1106-preview",
    "{}-0613",
    "{}-001",
    "{}-0",
    "{}.0",
    "{}-2407",
    "{}-2024-08-06",
    "{}-20240806",
    "{}@20240806",
    "{}-preview-09-2025",
    "{}-exp-0827",
    "{}-08-2024",
    "{}-20240806-v2:0",
    "{}:free",
    "{}:8b-instruct",
    "maker/{}",
    "accounts/maker/models/{}",
    "publishers/google/models/{}",
    "us.anthropic.{}-v1:0",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["gpt-4", "gpt-4o-mini", "claude-3-5-sonnet", "gemini-2.5-flash", "o1"])
def test_every_form_of_a_narrowed_models_name_is_refused(form: str, name: str) -> None:
    written = form.format(name)
    open_account = account(any_model=True)
    assert access.on_account(caller(), open_account, written).model.upstream_id == written
    for narrowed in (
        account(model("closed", name, subjects=CLOSED), any_model=True),
        account(model("off", name, enabled=False), any_model=True),
        account(model("dated", f"{name}-2024-05-13", subjects=CLOSED), any_model=True),
        account(model(name, "deployment-7", subjects=CLOSED), any_model=True),
    ):
        for spelled in (written, written.upper(), written.title()):
            assert access.is_narrowed(caller(), narrowed, spelled), spelled
            with pytest.raises(ModelNotFound):
                access.on_account(caller(), narrowed, spelled)


NO_NAMES = ["a,b", "gpt-4o,x", "gpt-4*", "*", "gpt-4?", "-a", "a|b", "a;b", "[a]", "a b", '"a"', "a=b", "a%2Cb"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_lists_and_patterns_are_no_names(name: str) -> None:
    for models in ((), (model("gpt-4o", subjects=CLOSED),)):
        with pytest.raises(ModelNotFound):
            access.on_account(caller(), account(*models, any_model=True), name)


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("named", "gpt-named"),
        ("acme/named", "gpt-named"),
        ("gpt-named", "gpt-named"),
        ("GPT-Named", "gpt-named"),
        ("models/gpt-named", "gpt-named"),
        ("gpt-named:latest", "gpt-named"),
        ("gpt-named-2024-08-06", "gpt-named-2024-08-06"),
        ("gpt-named-mini", "gpt-named-mini"),
        ("gpt-name", "gpt-name"),
        ("other/gpt-4o", "other/gpt-4o"),
    ],
)
def test_what_is_open_is_reached_by_its_names(asked: str, served: str) -> None:
    opened = account(model("named", "gpt-named"), model("closed", "gpt-4", subjects=CLOSED), any_model=True)
    assert access.on_account(caller(), opened, asked).model.upstream_id == served


def test_one_open_listing_of_a_model_is_enough_by_its_name() -> None:
    both = account(model("closed", "gpt-4", subjects=CLOSED), model("open", "gpt-4"), any_model=True)
    assert access.on_account(caller(), both, "GPT-4").model.name == "open"
    with pytest.raises(ModelNotFound):
        access.on_account(caller(), both, "gpt-4-0613")


@pytest.mark.parametrize(
    ("name", "opened"),
    [
        ("~gpt-4o", False),
        ("gpt-4o-fast", False),
        ("GPT_4o,x", False),
        ("x,gpt-4o", False),
        ("gpt-4o-mini,gpt-4o", False),
        ("deployment-7-fast", False),
        ("gpt-4o-mini:nitro", True),
        ("gpt-4o-mini-fast", True),
        ("gpt-4o-audio-preview", True),
        ("gpt-4on", False),
        ("gpt4o", False),
        ("gpt-4-o", False),
        ("openai/GPT4o", False),
        ("gpt4omini", True),
        ("xgpt4ominix", True),
        ("gpt4omini-gpt4o", False),
        ("secretllama-70b", False),
        ("gemini-pro-latest", False),
        ("gemini-pro", False),
        ("models/gemini-pro-latest", False),
        ("gemini-flash-latest", True),
        ("gemini-1.5-pro", True),
        ("ft:gpt-4o:acme::1", True),
    ],
)
def test_a_name_that_holds_a_narrowed_models_is_refused(name: str, opened: bool) -> None:
    """Unless the price list has a model by just that name, or the words are those of a longer name that is open."""
    closed = [
        model("closed", "gpt-4o", subjects=CLOSED),
        model("deployment-7", "o3", subjects=CLOSED),
        model("llama", "meta/secret-llama-70b", subjects=CLOSED),
        model("google", "gemini-2.5-pro", subjects=CLOSED),
    ]
    holder = account(*closed, model("open", "gpt-4o-mini"), any_model=True)
    for find in (access.on_account, vendor_names.resolve):
        if opened:
            assert find(caller(), holder, name).model.upstream_id == name
        else:
            with pytest.raises(ModelNotFound):
                find(caller(), holder, name)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40))
@example("/")
@example("Models/")
@example(":latest")
def test_stems_are_stable(name: str) -> None:
    assert stem(name)
    assert stem(stem(name)) == stem(name) or name.lower().startswith(("ft:", "models/"))
    assert stem(name) in stems(name)
    assert stem(name.upper()) == stem(f" {name} ") == stem(plain(name)) == stem(name)


STEMS = st.from_regex(r"[a-z]{2,6}(-[0-9]{1,2}(\.[0-9])?)?[a-z]?(-(mini|pro|large))?", fullmatch=True)
WRITTEN = st.tuples(
    st.sampled_from([form for form in FORMS if form.startswith("{}")]),
    st.sampled_from([form for form in FORMS if form.endswith("{}")]),
)
SPELLED = st.sampled_from([str, str.upper, str.title, lambda name: f" {name} ", lambda name: name.replace("-", "_")])


@given(STEMS, WRITTEN, SPELLED)
@example("aa-00", ("{}-08-2024", "{}"), str)
@example("aa-10-pro", ("{}-20240806-v2:0", "{}"), str.upper)
def test_no_way_of_writing_leads_to_a_narrowed_model(name: str, forms: tuple[str, str], spell: Any) -> None:
    """Whatever is put behind a name, and before both."""
    written = name
    for form in forms:
        written = form.format(written)
    closed = account(model("closed", name, subjects=CLOSED), any_model=True)
    for spelled in (written, spell(written)):
        assert access.is_narrowed(caller(), closed, spelled), spelled
        with pytest.raises(ModelNotFound):
            access.on_account(caller(), closed, spelled)


# --- places -------------------------------------------------------------------------------------------------

# A place for a name in a body, which is ``NAME`` there.
PLACES: list[dict[str, Any]] = [
    {"models": ["NAME"]},
    {"models": ["cheap", "NAME"], "route": "fallback"},
    {"models": "cheap,NAME"},
    {"models": "cheap, NAME"},
    {"fallbacks": ["NAME"]},
    {"fallbacks": [{"model": "NAME"}]},
    {"fallbacks": [{"cheap": ["NAME"]}]},
    {"fallback": "NAME"},
    {"fallback_model": "NAME"},
    {"default_models": ["NAME"]},
    {"Model": "NAME"},
    {"MODEL": "NAME"},
    {"model_id": "NAME"},
    {"modelId": "NAME"},
    {"engine": "NAME"},
    {"ENGINE": "NAME"},
    {"deployment_id": "NAME"},
    {"provider": {"model": "NAME"}},
    {"provider": {"order": ["NAME"]}},
    {"route": "NAME"},
    {"plugins": [{"id": "auto-router", "allowed_models": ["NAME"]}]},
    {"tools": [{"type": "image_generation", "model": "NAME"}]},
    {"tools": [{"type": "function"}, {"type": "new", "deep": {"er": [{"summary_model": "NAME"}]}}]},
    {"tools": [{"type": "image_generation", "mod\u0065l": "NAME"}]},
    {"tools": [{"type": "image_generation", "model": {"id": "NAME"}}]},
    {"delegation": {"responses": {"model": "NAME"}}},
    {"extra": {"MODEL": "NAME"}},
    {"fallbacks": {"cheap": "NAME"}},
    {"fallbacks": [{"cheap": "NAME"}]},
    {"context_window_fallbacks": [{"cheap": ["NAME"]}]},
    {"models": {"primary": {"id": "NAME"}}},
    {"model_list": [{"model_name": "NAME", "litellm_params": {"model": "NAME"}}]},
    {"model\u017f": ["NAME"]},
    {"x": {"model\u017f": ["NAME"]}},
    {"llm": "NAME"},
]
# Unknown fields that may be read as names: of no model that the caller may not call.
STRINGS: list[dict[str, Any]] = [{"x": "NAME"}, {"x": ["a", {"b": "NAME"}]}, {"x": {"NAME": 1}}, {"x": "a, NAME"}]


@pytest.mark.parametrize("body", STRINGS, ids=json.dumps)
def test_a_string_of_an_unknown_field_is_no_model_of_others(body: dict[str, Any]) -> None:
    for name in ("dear", "acme/dear", "gpt-dear", "GPT-dear", "models/gpt-dear", "gpt-dear-2024-08-06"):
        for escaped in (False, True):
            with pytest.raises(ModelNotFound):
                named(body, name.replace("-", "\\u002d") if escaped else name)
    for name in ("open", "gpt-open", "we do not use gpt-dear here", "azure"):
        assert named(body, name) == json.loads(json.dumps(body).replace("NAME", name))


def named(body: dict[str, Any], name: str, limits: tuple[str, ...] = (), escaped: bool = False) -> Any:
    """The body after the check, on an account with an open, a cheap and a dear model."""
    here = account(model("open", "gpt-open"), model("cheap"), model("dear", "gpt-dear", subjects=CLOSED))
    text = json.dumps(body).replace("NAME", name)
    if escaped:
        text = text.replace('model"', 'mod\\u0065l"')
    fields, _ = for_account(caller(*limits), here, decode_fields(text.encode()))
    return json.loads(msgspec.json.encode(fields))


@pytest.mark.parametrize("body", PLACES, ids=json.dumps)
def test_every_place_is_checked_and_takes_the_upstreams_name(body: dict[str, Any]) -> None:
    for name in ("dear", "acme/dear", "gpt-dear", "GPT-dear"):
        for escaped in (False, True):
            with pytest.raises(ModelNotFound):
                named(body, name, escaped=escaped)
    with pytest.raises(ModelNotFound):
        named(body, "open", ("acme/cheap",))
    routing = body.keys() & {"provider", "route"} and "model" not in json.dumps(body)
    for name in ("open", "acme/open", "gpt-open"):
        sent = named(body, name)
        assert sent == json.loads(
            json.dumps(body).replace("NAME", name if routing else "gpt-open").replace("cheap, ", "cheap,")
        )


WORDS: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "a", "model": "NAME", "models": ["NAME"]}]},
    {"input": [{"type": "message", "model": "NAME"}]},
    {"metadata": {"model": "NAME"}},
    {"client_metadata": {"model": "NAME", "fallbacks": ["NAME"]}},
    {"prompt": {"id": "pmpt_1", "variables": {"model": "NAME"}}},
    {"tools": [{"type": "function", "parameters": {"properties": {"model": {"default": "NAME"}}}}]},
    {"tools": [{"type": "mcp", "headers": {"model": "NAME"}}]},
    {"text": {"format": {"schema": {"model": "NAME"}}}},
    {"chat_template_kwargs": {"model": "NAME"}},
    {"provider": {"order": ["azure"], "sort": "price"}, "route": "fallback"},
    {"plugins": [{"id": "web", "engine": "exa"}]},
    {"plugins": [{"id": "file-parser", "pdf": {"engine": "mistral-ocr"}}]},
    {"tools": [{"type": "openrouter:web_search", "parameters": {"engine": "exa"}}]},
    {"trace": {"trace_id": "a", "model": "NAME"}},
    {"user": "NAME", "service_tier": "auto", "stop": ["NAME"]},
]


@pytest.mark.parametrize("body", WORDS, ids=json.dumps)
def test_what_callers_call_things_is_no_model(body: dict[str, Any]) -> None:
    text = json.dumps(body, indent=1).replace("NAME", "gpt-dear").encode()
    fields = decode_fields(text)
    here = account(model("cheap"), model("dear", "gpt-dear", subjects=CLOSED))
    assert for_account(caller("acme/cheap"), here, fields) == (fields, [])


CONFIGURED: list[dict[str, Any]] = [
    {"preset": "my-preset"},
    {"Preset": "my-preset"},
    {"agent": {"type": "agent_reference", "name": "a"}},
    {"agent_reference": {"type": "agent_reference", "name": "a"}},
    {"prompt_id": "hello"},
]


@pytest.mark.parametrize("body", CONFIGURED, ids=json.dumps)
def test_what_the_vendor_keeps_may_hold_any_model(body: dict[str, Any]) -> None:
    fields = decode_fields(json.dumps(body).encode())
    wide, narrowed = account(model("cheap")), account(model("cheap"), model("dear", subjects=CLOSED))
    check_configuration(caller(), wide, fields)
    check_configuration(caller("acme"), wide, fields)
    for who, where in ((caller("acme/cheap"), wide), (caller(), narrowed)):
        with pytest.raises(Forbidden, match="may name models"):
            check_configuration(who, where, fields)
        check_configuration(who, where, decode_fields(json.dumps(dict.fromkeys(body)).encode()))


@pytest.mark.parametrize("name", ["@preset/x", "cheap@preset/x", "presets/x", "Presets/x"])
def test_a_presets_name_may_mean_any_model(name: str) -> None:
    access.on_account(caller(), account(model("cheap"), any_model=True), name)
    for who, where in (
        (caller("acme/cheap"), account(model("cheap"), any_model=True)),
        (caller(), account(model("cheap"), model("dear", subjects=CLOSED), any_model=True)),
    ):
        with pytest.raises(ModelNotFound):
            access.on_account(who, where, name)


DOUBLE = [
    '{"x":{"model":"dear","model":null}}',
    '{"x":{"models":["dear"],"models":[]}}',
    '{"x":[{"deep":{"model":"dear","mod\\u0065l":"open"}}]}',
    '{"tools":[{"type":"image_generation","model":"dear","model":"open"}]}',
    '{"tools":[{"type":"image_generation","type":"function"}]}',
    '{"tools":[{"type":"image_gener\\u0061tion","type":"function"}]}',
    '{"fallbacks":[{"a":["dear"],"a":[]}]}',
    '{"provider":{"order":["dear"],"order":[]}}',
    '{"input":[{"tools":[{"model":"dear"}],"tools":[]}]}',
    '{"input":[{"tools":[{"model":"dear"}],"tools":null}]}',
    '{"x":{"n":1e2,"m":1e2,"model":"dear","model":null}}',
]


@pytest.mark.parametrize("body", DOUBLE)
def test_a_name_given_twice_is_refused_at_every_depth(body: str) -> None:
    """Some readers take the first, others the last."""
    here = account(model("open", "gpt-open"), model("dear", subjects=CLOSED))
    for written in (body, body.replace(":", " : ")):
        with pytest.raises(InvalidRequest, match="given twice"):
            for_account(caller(), here, decode_fields(written.encode()))


def test_a_body_that_can_not_be_written_anew_names_models_as_the_vendor_does() -> None:
    here = account(model("open", "gpt-open"))
    body = decode_fields(b'{"tools":[{"type":"image_generation","model":"open"}]}')
    with pytest.raises(InvalidRequest, match="gpt-open"):
        for_account(caller(), here, body, sent_as_is=True)
    body = decode_fields(b'{"tools":[{"type":"image_generation","model":"gpt-open"}]}')
    assert for_account(caller(), here, body, sent_as_is=True)[1][0].name == "open"


@pytest.mark.parametrize("name", ["model", "models[]", "fallback-model", "baseModel", "modelName", "judge_models"])
def test_fields_that_name_models(name: str) -> None:
    assert is_naming(name)


@pytest.mark.parametrize(
    "name", ["modelling", "model_version_of", "remodel_it", "prompt", "file", "n", "id", "models_dir"]
)
def test_fields_that_do_not(name: str) -> None:
    assert not is_naming(name)


@pytest.mark.parametrize(
    "body",
    [
        {"input": [{"type": "additional_tools", "tools": [{"type": "image_generation", "model": "closed"}]}]},
        {"input": [{"type": "tool_search_output", "tools": [{"type": "x", "parameters": {"model": "closed"}}]}]},
        {"tools": [{"type": "openrouter:advisor", "parameters": {"model": "closed"}}]},
    ],
)
def test_tools_that_a_call_brings_along_name_models(body: dict[str, Any]) -> None:
    holder = account(model("open", "gpt-open"), model("closed", "gpt-closed", subjects=CLOSED))
    fields = decode_fields(json.dumps(body).encode())
    with pytest.raises(ModelNotFound):
        for_account(caller(), holder, fields)
    escaped = decode_fields(json.dumps(body).replace('"tools"', '"too\\u006cs"').encode())
    with pytest.raises(ModelNotFound):
        for_account(caller(), holder, escaped)
    allowed = decode_fields(json.dumps(body).replace("closed", "open").encode())
    changed, named = for_account(caller(), holder, allowed)
    assert [each.name for each in named] == ["open"]
    assert b"gpt-open" in b"".join(bytes(value) for value in changed.values())


@pytest.mark.parametrize(
    "body",
    [
        {"input": [{"type": "message", "role": "user", "content": 'the model of "tools"'}]},
        {"input": [{"type": "x", "tools": [{"type": "function", "name": "f", "parameters": {"model": "closed"}}]}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"model": {}}}}}]},
        {"functions": [{"name": "f", "parameters": {"model": "closed"}}]},
    ],
)
def test_schemas_and_texts_name_none(body: dict[str, Any]) -> None:
    fields = decode_fields(json.dumps(body).encode())
    holder = account(model("closed", "gpt-closed", subjects=CLOSED))
    assert for_account(caller(), holder, fields) == (fields, [])


# --- tools that name none -----------------------------------------------------------------------------------

PICTURES = {"type": "image_generation", "size": "1024x1024"}
BRINGING: list[dict[str, Any]] = [
    {"tools": [PICTURES]},
    {"tools": [{"type": "function", "name": "f"}, {**PICTURES, "model": " "}]},
    {"tools": [{**PICTURES, "model": None}]},
    {"session": {"tools": [PICTURES]}},
    {"input": [{"type": "additional_tools", "tools": [PICTURES]}]},
]


@pytest.mark.parametrize("body", BRINGING, ids=json.dumps)
def test_a_tool_without_a_model_uses_the_vendors(body: dict[str, Any]) -> None:
    text = json.dumps(body)
    drawing = model("draw", "gpt-image-1")
    for written in (text, text.replace("image_generation", "image_gener\\u0061tion")):
        fields = decode_fields(written.encode())
        for who, models in (
            (caller("acme/open"), [model("open")]),
            (caller("acme/open"), [model("open"), drawing]),
            (caller(), [model("draw", "gpt-image-1", subjects=CLOSED)]),
        ):
            with pytest.raises(ModelNotFound, match="gpt-image-1"):
                for_account(who, account(*models, any_model=True), fields)
        for who, models in (
            (caller("acme/draw"), [drawing]),
            (caller("acme"), []),
            (caller(), []),
            (caller(), [drawing]),
        ):
            assert for_account(who, account(*models, any_model=True), fields) == (fields, [])


def test_a_choice_among_tools_uses_no_model() -> None:
    fields = decode_fields(b'{"tool_choice":{"type":"allowed_tools","tools":[{"type":"image_generation"}]}}')
    assert for_account(caller("acme/open"), account(model("open")), fields) == (fields, [])
