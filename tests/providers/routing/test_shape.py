"""The routing of a virtual model: what is wrong with it is said with its place, all at once."""

from typing import Any

import pytest

from providers.routing.compiled import compile_routing
from providers.routing.shape import faults_of, target_names

GOOD: dict[str, Any] = {
    "type": "weight-based-routing",
    "load_balance_targets": [
        {
            "target": "a/m",
            "weight": 80,
            "retry_config": {"attempts": 2, "delay": 200, "on_status_codes": ["429", 503]},
            "fallback_status_codes": ["500"],
            "fallback_candidate": False,
            "override_params": {"temperature": 0.1},
            "headers_override": {"set": {"x-team": "search"}, "remove": ["OpenAI-Beta"]},
            "metadata_match": {"env": "prod"},
        },
        {"target": "b/m", "weight": 20},
    ],
    "sticky_routing": {
        "ttl_seconds": 60,
        "session_identifiers": [{"source": "headers", "key": "X-Session"}, {"source": "metadata", "key": "user"}],
    },
}


def changed(target: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    first = {**GOOD["load_balance_targets"][0], **(target or {})}
    return {**GOOD, "load_balance_targets": [first, GOOD["load_balance_targets"][1]], **fields}


def test_a_good_one_compiles() -> None:
    assert faults_of(GOOD, ["chat"]) == []
    routing = compile_routing(GOOD)
    first, second = routing.targets
    assert (first.name, first.weight, first.retries, first.delay) == ("a/m", 80.0, 2, 0.2)
    assert first.retry_statuses == {429, 503}
    assert first.fallback_statuses == {500}
    assert not first.fallback_candidate
    assert {name: bytes(value) for name, value in first.params.items()} == {"temperature": b"0.1"}
    assert first.set_headers == (("x-team", "search"),)
    assert first.removed_headers == {"openai-beta"}
    assert second.retries is None
    assert second.fallback_statuses is None
    assert routing.sticky == (("headers", "x-session"), ("metadata", "user"))
    assert target_names(GOOD) == ["a/m", "b/m"]


@pytest.mark.parametrize(
    ("config", "path", "words"),
    [
        ({}, "", "Write an object"),
        ({"type": "weight-based"}, "type", "Did you mean 'weight-based-routing'?"),
        (changed(sticky={}), "sticky", "Did you mean 'sticky_routing'?"),
        (
            {**GOOD, "sticky_routing": {"ttl_seconds": 1, "session_identifiers": [{"source": "prompt", "key": "end"}]}},
            "sticky_routing.session_identifiers[0].key",
            "prefix, prompt_cache_key",
        ),
        ({**GOOD, "retry_budget": {"percent": 101}}, "retry_budget.percent", "0 to 100"),
        ({**GOOD, "retry_budget": 20}, "retry_budget", "percent"),
        ({**GOOD, "hedge": {"percentile": 95}}, "hedge", "pays_twice"),
        ({**GOOD, "hedge": {"percentile": 95, "pays_twice": False}}, "hedge.pays_twice", "paid for"),
        ({**GOOD, "hedge": {"percentile": 20, "pays_twice": True}}, "hedge.percentile", "50 to 99.9"),
        ({**GOOD, "mirror": {"target": "b/m"}}, "mirror.percent", "100 at most"),
        ({**GOOD, "mirror": {"target": "m", "percent": 5}}, "mirror.target", "account/model"),
        ({**GOOD, "mirror": {"target": "b/m", "percent": 5, "weight": 1}}, "mirror.weight", "is not known"),
        ({**GOOD, "load_balance_targets": []}, "load_balance_targets", "1 to 50"),
        (changed({"target": "m"}), "load_balance_targets[0].target", "account/model"),
        (changed({"weight": -1}), "load_balance_targets[0].weight", "zero or more"),
        (changed({"weight": True}), "load_balance_targets[0].weight", "zero or more"),
        (changed({"weigth": 1}), "load_balance_targets[0].weigth", "Did you mean 'weight'?"),
        (changed({"target": "b/m"}), "load_balance_targets", "twice"),
        (changed({"retry_config": {"delay": 1}}), "load_balance_targets[0].retry_config.attempts", "whole number"),
        (changed({"fallback_status_codes": ["200"]}), "load_balance_targets[0].fallback_status_codes", "400 to 599"),
        (changed({"override_params": {"model": "x"}}), "load_balance_targets[0].override_params.model", "overridden"),
        (
            changed({"headers_override": {"set": {"Authorization": "x"}}}),
            "load_balance_targets[0].headers_override",
            "provider account itself",
        ),
        (
            changed({"headers_override": {"set": {"x-a": "b\r\nx-c: d"}}}),
            "load_balance_targets[0].headers_override.set.x-a",
            "not a valid header value",
        ),
        (changed({"metadata_match": {"env": 1}}), "load_balance_targets[0].metadata_match", "strings"),
        (changed(sticky_routing={"ttl_seconds": 1}), "sticky_routing", "session_identifiers"),
        (
            {"type": "complexity-based-routing", "load_balance_targets": [{"target": "a/m", "tier": "hard"}]},
            "load_balance_targets[0].tier",
            "simple, medium, complex",
        ),
        (
            {
                "type": "complexity-based-routing",
                "load_balance_targets": [{"target": "a/m", "tier": "simple"}],
                "classification_strategy": {"type": "llm-classifier", "model": "a/m"},
            },
            "classification_strategy",
            "heuristic",
        ),
    ],
)
def test_faults(config: dict[str, Any], path: str, words: str) -> None:
    found = dict(faults_of(config, ["chat"]))
    assert path in found, found
    assert words in found[path]


def test_what_can_not_be_routed() -> None:
    assert "realtime" in dict(faults_of(GOOD, ["chat", "realtime"]))[""]


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"Previous_Response_ID": "resp_1"}, "Previous_Response_ID"),
        ({"conversation": {"id": "conv_1"}}, "conversation.id"),
        ({"prompt": {"id": "pmpt_1", "version": "2"}}, "prompt.id"),
        ({"prompt": {"variables": {"a": {"file_id": "file-1"}}}}, "prompt.variables.a.file_id"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0].id"),
        ({"audio": {"voice": "voice_1"}}, "audio.voice"),
        ({"cachedContent": "cachedContents/1"}, "cachedContent"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, "tools[0].vector_store_ids"),
        ({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, "tools[0].container"),
        (
            {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["f"]}}]},
            "tools[0].container.file_ids",
        ),
        ({"tools": [{"type": "image_generation", "model": "gpt-image-1.5"}]}, "tools[0]"),
        ({"tools": [{"type": "image_generation"}]}, "tools[0]"),
        ({"tools": [{"type": "web", "parameters": {"model": "m"}}]}, "tools[0].parameters.model"),
        ({"models": ["other/m"]}, "models"),
        ({"engine": "m"}, "engine"),
        ({"preset": "email"}, "preset"),
    ],
)
def test_overrides_name_no_objects_and_no_models(params: dict[str, Any], path: str) -> None:
    """They hold for all callers, and are set after it was decided what the caller may use."""
    config = changed({"override_params": params})
    found = [place for place, _ in faults_of(config, ["chat"])]
    assert f"load_balance_targets[0].override_params.{path}" in found
    assert "override_params." in compile_routing(config).targets[0].barred


def test_overrides_that_name_nothing_are_taken() -> None:
    params = {
        "metadata": {"model": "m", "file_id": "file-1"},
        "audio": {"voice": "alloy", "format": "mp3"},
        "prompt": "text",
        "provider": {"order": ["azure"]},
        "plugins": [{"id": "web"}],
        "tool_choice": {"type": "image_generation"},
        "tools": [
            {"type": "code_interpreter", "container": {"type": "auto"}},
            {"type": "function", "function": {"name": "f", "parameters": {"properties": {"model": {}, "id": {}}}}},
        ],
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"properties": {"file_id": {"x": "y"}}}}},
        "previous_response_id": None,
    }
    config = changed({"override_params": params})
    assert faults_of(config, ["chat"]) == []
    assert compile_routing(config).targets[0].barred == ""
