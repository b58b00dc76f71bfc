"""The reports of what is billed, in OpenAI's and Anthropic's own forms."""

from typing import Any

import httpx
import pytest
from openai import BadRequestError, OpenAI

from tests.support.openapi import assert_valid
from tests.support.sandbox_process import KEY, SandboxProcess

FIRST, DAY = 1_793_491_200, 86_400  # 2026-11-01
LINE = {"model": "gpt-4o", "cost_usd": "1.5", "input_tokens": 100, "cached_tokens": 40, "output_tokens": 10}


@pytest.fixture(autouse=True)
def _told(sandbox: SandboxProcess) -> None:
    lines = [{**LINE, "day": "2026-11-01"}, {**LINE, "day": "2026-11-09", "project": "proj_a"}]
    assert sandbox.http.post(f"{sandbox.origin}/sandbox/invoice", json={"lines": lines}).json() == {"lines": 2}


@pytest.fixture
def admin(sandbox: SandboxProcess) -> OpenAI:
    return sandbox.client(admin_api_key=KEY)


def test_openais_costs(admin: OpenAI, sandbox: SandboxProcess) -> None:
    usage = admin.admin.organization.usage
    page = usage.costs(start_time=FIRST, end_time=FIRST + 10 * DAY)
    assert_valid("UsageResponse", page.to_dict())
    assert (len(page.data), page.has_more) == (7, True)
    assert [result.amount.value for result in page.data[0].results] == [1.5]
    rest = usage.costs(start_time=FIRST, end_time=FIRST + 10 * DAY, page=page.next_page, group_by=["line_item"])
    assert (rest.data[0].start_time, len(rest.data), rest.has_more) == (FIRST + 7 * DAY, 3, False)
    items = [(result.line_item, result.amount.value) for result in rest.data[1].results]
    assert items == [("gpt-4o, input", 0.75), ("gpt-4o, output", 0.75)]
    ours = usage.costs(start_time=FIRST, end_time=FIRST + 10 * DAY, limit=180, project_ids=["proj_a"])
    assert sum(len(bucket.results) for bucket in ours.data) == 1


def test_openais_usage(admin: OpenAI) -> None:
    page = admin.admin.organization.usage.completions(start_time=FIRST, end_time=FIRST + DAY, group_by=["model"])
    assert_valid("UsageResponse", page.to_dict())
    (result,) = page.data[0].results
    assert (result.model, result.input_tokens, result.input_cached_tokens, result.output_tokens) == (
        "gpt-4o",
        100,
        40,
        10,
    )


@pytest.mark.parametrize("wrong", [{"limit": 181}, {"group_by": ["colour"]}, {"page": "x"}, {"bucket_width": "1h"}])
def test_openai_refuses(admin: OpenAI, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError):
        admin.admin.organization.usage.costs(start_time=FIRST, **wrong)


def anthropic(sandbox: SandboxProcess, path: str, **query: Any) -> httpx.Response:
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    return httpx.get(f"{sandbox.url}/organizations/{path}", headers=headers, params=query, trust_env=False)


def test_anthropics_reports(sandbox: SandboxProcess) -> None:
    span = {"starting_at": "2026-11-01T00:00:00Z", "ending_at": "2026-11-11T00:00:00Z"}
    first = anthropic(sandbox, "cost_report", **span).json()
    assert (len(first["data"]), first["has_more"]) == (7, True)
    (result,) = first["data"][0]["results"]
    assert (result["amount"], result["currency"], result["model"]) == ("150.0", "USD", None)
    groups = {"group_by[]": ["description", "workspace_id"], "page": first["next_page"]}
    rest = anthropic(sandbox, "cost_report", **span, **groups).json()
    assert [bucket["starting_at"] for bucket in rest["data"]][:2] == ["2026-11-08T00:00:00Z", "2026-11-09T00:00:00Z"]
    results = rest["data"][1]["results"]
    assert [(one["model"], one["workspace_id"], float(one["amount"])) for one in results] == [
        ("gpt-4o", "proj_a", 75.0)
    ] * 2
    usage = anthropic(sandbox, "usage_report/messages", **span, **{"group_by[]": "model"}).json()
    (result,) = usage["data"][0]["results"]
    assert (result["uncached_input_tokens"], result["cache_read_input_tokens"], result["output_tokens"]) == (60, 40, 10)


@pytest.mark.parametrize("wrong", [{"limit": 32}, {"group_by[]": "colour"}, {"bucket_width": "1h"}, {"page": "x"}])
def test_anthropic_refuses(sandbox: SandboxProcess, wrong: dict[str, Any]) -> None:
    answer = anthropic(sandbox, "cost_report", starting_at="2026-11-01T00:00:00Z", **wrong)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert anthropic(sandbox, "cost_report").json()["error"]["message"] == "starting_at: Field required"
