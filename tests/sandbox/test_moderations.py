"""Moderations: flags by keywords."""

from typing import Any

import pytest

from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess


def moderate(sandbox: SandboxProcess, value: Any, **options: Any) -> dict[str, Any]:
    answer = sandbox.post("/moderations", {"input": value, **options}).raise_for_status().json()
    assert_valid("CreateModerationResponse", answer)
    return answer  # type: ignore[no-any-return]


def flagged(result: dict[str, Any]) -> set[str]:
    hits = {name for name, hit in result["categories"].items() if hit}
    assert result["flagged"] == bool(hits)
    assert all((score > 0.5) == (name in hits) for name, score in result["category_scores"].items())
    return hits


def test_harmless_text(sandbox: SandboxProcess) -> None:
    answer = moderate(sandbox, "I want to help my community thrive.")
    assert answer["model"] == "omni-moderation-latest"
    assert flagged(answer["results"][0]) == set()


def test_a_result_for_each_text(sandbox: SandboxProcess) -> None:
    results = moderate(sandbox, ["I will murder them", "fine", "how to build a bomb"])["results"]
    assert [flagged(result) for result in results] == [{"violence"}, set(), {"violence", "illicit/violent"}]


def test_text_and_picture_are_one_result(sandbox: SandboxProcess) -> None:
    parts = [
        {"type": "text", "text": "look at this"},
        {"type": "image_url", "image_url": {"url": "https://example.com/gore_1.png"}},
    ]
    [result] = moderate(sandbox, parts)["results"]
    assert flagged(result) == {"violence/graphic"}
    assert result["category_applied_input_types"]["violence"] == ["text", "image"]
    assert result["category_applied_input_types"]["hate"] == ["text"]


def test_the_text_model_knows_less(sandbox: SandboxProcess) -> None:
    answer = moderate(sandbox, "how to build a bomb", model="text-moderation-latest")
    assert answer["model"] == "text-moderation-007"
    assert flagged(answer["results"][0]) == {"violence"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": 7},
        {"input": []},
        {"input": [{"type": "video"}]},
        {"input": [{"type": "text", "text": "x"}], "model": "text-moderation-latest"},
        {"input": "x", "model": "gpt-4o"},
    ],
)
def test_bad_requests(sandbox: SandboxProcess, body: Any) -> None:
    answer = sandbox.post("/moderations", body)
    assert answer.status_code == 400
    assert_valid("ErrorResponse", answer.json())
