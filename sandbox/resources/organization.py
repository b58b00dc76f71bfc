"""`/v1/organization/costs` and `/v1/organization/usage/completions`: the bill that the sandbox was given.

OpenAI takes an admin key here; the sandbox takes any of its keys.
"""

from decimal import Decimal
from typing import Any

from sandbox.errors import ApiError, invalid_value, missing_parameter
from sandbox.store import invoice
from sandbox.store.invoice import Bucket, Line
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.numbers import whole_number
from sandbox.wire.routing import Route

COST_GROUPS = ("project_id", "line_item", "api_key_id")
USAGE_GROUPS = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier")
COSTS_MOST, USAGE_MOST, USUAL = 180, 31, 7
KINDS = ("input", "output")


async def costs(request: Request) -> Answer:
    query, buckets, following = _page(request, COST_GROUPS, COSTS_MOST)
    groups = query.get("group_by", [])
    return _answer(buckets, following, lambda lines: _costs(lines, groups))


async def completions(request: Request) -> Answer:
    query, buckets, following = _page(request, USAGE_GROUPS, USAGE_MOST)
    groups = query.get("group_by", [])
    return _answer(buckets, following, lambda lines: _usage(lines, groups))


async def set_invoice(request: Request) -> Answer:
    return json_response({"lines": invoice.replace(request.app.state, request.json())})


def _page(
    request: Request, groups: tuple[str, ...], most: int
) -> tuple[dict[str, list[str]], list[Bucket], str | None]:
    query = invoice.query_of(request.query_string)
    for group in query.get("group_by", []):
        if group not in groups:
            raise invalid_value("group_by", group, ", ".join(groups))
    if query.get("bucket_width", ["1d"])[-1] != "1d":
        raise ApiError("The sandbox bills by the day only.", param="bucket_width")
    start = _number(query, "start_time")
    if start is None:
        raise missing_parameter("start_time")
    end = _number(query, "end_time") or int(request.app.state.now())
    limit = _number(query, "limit") or USUAL
    if limit > most:
        raise ApiError(f"Invalid 'limit': at most {most}.", param="limit")
    cursor = query["page"][-1] if "page" in query else None
    buckets, following = invoice.page(request.app.state, start, end, limit, cursor, query.get("project_ids", ()))
    return query, buckets, following


def _number(query: dict[str, list[str]], name: str) -> int | None:
    if name not in query:
        return None
    number = whole_number(query[name][-1])
    if number is None:
        raise ApiError(f"Invalid '{name}': expected a whole number.", param=name)
    return number


def _answer(buckets: list[Bucket], following: str | None, results: Any) -> Answer:
    data = [
        {
            "object": "bucket",
            "start_time": bucket.start,
            "end_time": bucket.start + invoice.DAY,
            "results": results(bucket.lines),
        }
        for bucket in buckets
    ]
    return json_response({"object": "page", "data": data, "has_more": following is not None, "next_page": following})


def _costs(lines: list[Line], groups: list[str]) -> list[dict[str, Any]]:
    """One result for each group; as line items a model's cost is half for its input, half for its output."""
    found = []
    for (project, model), some in invoice.grouped(lines, "project_id" in groups, "line_item" in groups):
        total = sum((line.cost for line in some), Decimal(0))
        parts = [(f"{model}, {kind}", total / 2) for kind in KINDS] if model else [(None, total)]
        for item, cost in parts:
            found.append(
                {
                    "object": "organization.costs.result",
                    "amount": {"value": float(cost), "currency": "usd"},
                    "line_item": item,
                    "project_id": project,
                    "api_key_id": None,
                    "quantity": None,
                    "quantity_unit": None,
                }
            )
    return found


def _usage(lines: list[Line], groups: list[str]) -> list[dict[str, Any]]:
    found = []
    for (project, model), some in invoice.grouped(lines, "project_id" in groups, "model" in groups):
        given, cached = sum(line.input_tokens for line in some), sum(line.cached_tokens for line in some)
        found.append(
            {
                "object": "organization.usage.completions.result",
                "input_tokens": given,
                "input_cached_tokens": cached,
                "input_uncached_tokens": given - cached,
                "output_tokens": sum(line.output_tokens for line in some),
                "num_model_requests": len(some),
                "project_id": project,
                "user_id": None,
                "api_key_id": None,
                "model": model,
                "batch": None,
                "service_tier": None,
            }
        )
    return found


ROUTES = (
    Route("GET", "/v1/organization/costs", costs),
    Route("GET", "/v1/organization/usage/completions", completions),
    Route("POST", "/sandbox/invoice", set_invoice, authenticated=False),
)
"""The last one is the test's own: `{"lines": [{"day", "model", "cost_usd", "input_tokens", ...}]}`."""
