"""A token that is limited to one model reaches that alone, however a call names another: over HTTP, in forms, batches
and sockets.
"""

from typing import Any

import pytest

from tests.support.batch_inputs import jsonl, line
from tests.support.calls import assert_ours
from tests.support.surface import Surface, picture

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
IMAGE_TOOL = [{"type": "image_generation", "model": "gpt-image-1"}]


@pytest.fixture(scope="module")
def narrow(running_surface: Surface) -> str:
    return running_surface.gateway.token("narrow", ["wide/gpt-4o-mini", "media/gpt-image-1"], user="ada@example.com")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {**CHAT, "models": ["gpt-4o"], "route": "fallback"}),
        ("chat/completions", {**CHAT, "fallbacks": [{"model": "wide/gpt-4o"}]}),
        ("chat/completions", {**CHAT, "MODEL": "gpt-4o"}),
        ("responses", {"input": "hi", "tools": IMAGE_TOOL}),
        ("responses", {"input": "hi", "tools": [{"type": "image_generation"}]}),
        ("responses", {"input": "hi", "tools": [{"type": "image_generation", "mod\u0065l": "gpt-image-1"}]}),
        ("evals/eval_1/runs", {"data_source": {"type": "completions", "model": "gpt-4o"}}),
    ],
)
def test_models_beside_the_one_that_is_asked_for(
    surface: Surface, narrow: str, path: str, body: dict[str, Any]
) -> None:
    headers = {"x-tfy-provider-name": "wide"}
    answer = surface.gateway.post(narrow, f"/v1/{path}", {"model": "wide/gpt-4o-mini", **body}, headers=headers)
    assert answer.status_code == 404, answer.text
    assert answer.headers["x-gatehouse-error-origin"] == "gateway"
    assert surface.upstream.requests() == []


def test_a_tools_model_takes_the_upstreams_name(surface: Surface) -> None:
    tools = [{"type": "image_generation", "model": "wide/gpt-image-1"}]
    body = {"model": "wide/gpt-4o-mini", "input": "hi", "tools": tools}
    surface.gateway.post(surface.ada, "/v1/responses", body)
    (sent,) = surface.upstream.requests()
    assert b'"tools":[{"type":"image_generation","model":"gpt-image-1"}]' in sent["body"]


@pytest.mark.parametrize("part", ["Model", "models[]", "fallback_model", "engine"])
@pytest.mark.parametrize("late", [False, True], ids=["before", "behind"])
def test_a_form_names_one_model(surface: Surface, narrow: str, part: str, late: bool) -> None:
    parts = [("model", (None, "media/gpt-image-1")), (part, (None, "media/gpt-image-1-mini"))]
    image = [("image", ("a.png", picture())), ("prompt", (None, "a hat"))]
    answer = surface.gateway.http.post(
        f"{surface.gateway.origin}/v1/images/edits",
        headers={"authorization": f"Bearer {narrow}"},
        files=[*(parts if late else parts[::-1]), *image],
    )
    assert_ours(answer, 400, "invalid_multipart", part)


def test_the_tools_of_a_batchs_lines(surface: Surface, narrow: str) -> None:
    for tool, expected in (("gpt-image-1", "model_not_found"), ("wide/gpt-image-1", "model_not_found")):
        request = {**line(0), "url": "/v1/responses"}
        request["body"] = {
            "model": "gpt-4o-mini",
            "input": "hi",
            "tools": [{"type": "image_generation", "model": tool}],
        }
        answer = surface.gateway.http.post(
            f"{surface.gateway.origin}/v1/files",
            headers={"authorization": f"Bearer {narrow}", "x-tfy-provider-name": "wide"},
            files={"file": ("in.jsonl", jsonl([request]))},
            data={"purpose": "batch"},
        )
        assert_ours(answer, 400, expected, "file")
    assert surface.upstream.requests() == []
