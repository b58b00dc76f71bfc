"""`/v1/organizations/cost_report` and `/v1/organizations/usage_report/messages`: the bill that the sandbox was given.

Anthropic takes an admin key here; the sandbox takes any of its keys.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox.anthropic.service import invalid
from sandbox.store import invoice
from sandbox.store.invoice import Bucket, Line
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.numbers import whole_number
from sandbox.wire.routing import Route

COST_GROUPS = ("workspace_id", "description")
USAGE_GROUPS = ("api_key_id", "workspace_id", "model", "service_tier", "context_window", "inference_geo")
MOST, USUAL = 31, 7
COST_TYPES = ("uncached_input_tokens", "output_tokens")


async def costs(request: Request) -> Answer:
    groups, buckets, following = _page(request, COST_GROUPS)
    return _answer(buckets, following, lambda lines: _costs(lines, groups))


async def usage(request: Request) -> Answer:
    groups, buckets, following = _page(request, USAGE_GROUPS)
    return _answer(buckets, following, lambda lines: _usage(lines, groups))


def _page(request: Request, known: tuple[str, ...]) -> tuple[list[str], list[Bucket], str | None]:
    query = invoice.query_of(request.query_string)
    groups = query.get("group_by", [])
    for group in groups:
        if group not in known:
            raise invalid("group_by", f"Input should be one of {', '.join(known)}")
    if query.get("bucket_width", ["1d"])[-1] != "1d":
        raise invalid("bucket_width", "The sandbox bills by the day only")
    if "starting_at" not in query:
        raise invalid("starting_at", "Field required")
    end = _moment(query, "ending_at") if "ending_at" in query else int(request.app.state.now())
    limit = whole_number(query.get("limit", [str(USUAL)])[-1])
    if limit is None or not 1 <= limit <= MOST:
        raise invalid("limit", f"Input should be a whole number from 1 to {MOST}")
    cursor = query["page"][-1] if "page" in query else None
    return groups, *invoice.page(request.app.state, _moment(query, "starting_at"), end, limit, cursor)


def _moment(query: dict[str, list[str]], name: str) -> int:
    try:
        return int(datetime.fromisoformat(query[name][-1]).timestamp())
    except ValueError:
        raise invalid(name, "Input should be a valid datetime") from None


def _answer(buckets: list[Bucket], following: str | None, results: Any) -> Answer:
    data = [
        {
            "starting_at": invoice.iso(bucket.start),
            "ending_at": invoice.iso(bucket.start + invoice.DAY),
            "results": results(bucket.lines),
        }
        for bucket in buckets
    ]
    return json_response({"data": data, "has_more": following is not None, "next_page": following})


def _costs(lines: list[Line], groups: list[str]) -> list[dict[str, Any]]:
    """Amounts are in cents, as decimal strings; a model's cost is half for its input, half for its output."""
    found = []
    for (workspace, model), some in invoice.grouped(lines, "workspace_id" in groups, "description" in groups):
        cents = sum((line.cost for line in some), Decimal(0)) * 100
        for kind, amount in [(kind, cents / 2) for kind in COST_TYPES] if model else [(None, cents)]:
            found.append(
                {
                    "currency": "USD",
                    "amount": format(amount, "f"),
                    "workspace_id": workspace,
                    "description": f"{model} Usage - {kind}" if model else None,
                    "cost_type": "tokens" if model else None,
                    "context_window": "0-200k" if model else None,
                    "model": model,
                    "service_tier": "standard" if model else None,
                    "token_type": kind,
                }
            )
    return found


def _usage(lines: list[Line], groups: list[str]) -> list[dict[str, Any]]:
    found = []
    for (workspace, model), some in invoice.grouped(lines, "workspace_id" in groups, "model" in groups):
        cached = sum(line.cached_tokens for line in some)
        found.append(
            {
                "uncached_input_tokens": sum(line.input_tokens for line in some) - cached,
                "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
                "cache_read_input_tokens": cached,
                "output_tokens": sum(line.output_tokens for line in some),
                "server_tool_use": {"web_search_requests": 0},
                "api_key_id": None,
                "workspace_id": workspace,
                "model": model,
                "service_tier": None,
                "context_window": None,
            }
        )
    return found


ROUTES = (
    Route("GET", "/v1/organizations/cost_report", costs),
    Route("GET", "/v1/organizations/usage_report/messages", usage),
)
