"""Anthropic's models, and what each of them takes."""

from typing import Any, NamedTuple

from sandbox.anthropic.service import invalid
from sandbox.errors import ApiError
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.numbers import whole_number
from sandbox.wire.routing import Route


class Model(NamedTuple):
    """`output` is the most tokens of an answer; `budgets` and `adaptive` are the kinds of thinking that a model takes,
    `thinks` one that thinks unasked, and `always` one that cannot be stopped; `sampling` is how many of temperature
    and top_p it takes at once; `forced` one that can be made to call a tool; `schemas` one that writes JSON by a
    schema; `prefill` one that goes on with an assistant's turn.
    """

    id: str
    name: str
    created: str
    output: int = 128_000
    budgets: bool = False
    adaptive: bool = True
    thinks: bool = False
    always: bool = False
    sampling: int = 0
    forced: bool = True
    schemas: bool = True
    prefill: bool = False

    @property
    def display(self) -> str:
        """How thinking is shown where a request does not say it."""
        return "summarized" if self.budgets else "omitted"


_EARLY: dict[str, Any] = {"output": 4096, "adaptive": False, "sampling": 2, "schemas": False, "prefill": True}
_FOUR: dict[str, Any] = {**_EARLY, "output": 64_000, "budgets": True}
_FOUR_FIVE: dict[str, Any] = {**_FOUR, "sampling": 1, "schemas": True}
_FOUR_SIX: dict[str, Any] = {"budgets": True, "sampling": 1}
_FIVE: dict[str, Any] = {"thinks": True}
_NEWEST: dict[str, Any] = {"thinks": True, "always": True, "forced": False}

# What models take is Anthropic's documentation of 2026; an alias is followed by its dated name.
MODELS: dict[str, Model] = {
    row.id: row
    for row in (
        Model("claude-fable-5-2", "Claude Fable 5.2", "2026-10-20", **_NEWEST),
        Model("claude-opus-5-5", "Claude Opus 5.5", "2026-09-30", **_NEWEST),
        Model("claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-09-30", **_NEWEST),
        Model("claude-haiku-5-5", "Claude Haiku 5.5", "2026-09-30", **_NEWEST),
        Model("claude-opus-5", "Claude Opus 5", "2026-07-15", **_FIVE),
        Model("claude-sonnet-5", "Claude Sonnet 5", "2026-07-15", **_FIVE),
        Model("claude-opus-4-8", "Claude Opus 4.8", "2026-05-28"),
        Model("claude-opus-4-7", "Claude Opus 4.7", "2026-04-16"),
        Model("claude-opus-4-6", "Claude Opus 4.6", "2026-02-04", **_FOUR_SIX),
        Model("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-17", **_FOUR_SIX),
        Model("claude-opus-4-5", "Claude Opus 4.5", "2025-11-24", **_FOUR_FIVE),
        Model("claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-24", **_FOUR_FIVE),
        Model("claude-haiku-4-5", "Claude Haiku 4.5", "2025-10-15", **_FOUR_FIVE),
        Model("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15", **_FOUR_FIVE),
        Model("claude-sonnet-4-5", "Claude Sonnet 4.5", "2025-09-29", **_FOUR_FIVE),
        Model("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29", **_FOUR_FIVE),
        Model("claude-sonnet-4-20250514", "Claude Sonnet 4", "2025-05-22", **_FOUR),
        Model("claude-3-7-sonnet-20250219", "Claude Sonnet 3.7", "2025-02-24", **_FOUR),
        Model("claude-3-5-haiku-20241022", "Claude Haiku 3.5", "2024-10-22", **{**_EARLY, "output": 8192}),
        Model("claude-3-haiku-20240307", "Claude Haiku 3", "2024-03-07", **_EARLY),
    )
}
CONTEXT = 200_000
DEFAULT_LIMIT, MOST = 20, 1000


def find(name: object) -> Model:
    """The row of a name; raises ApiError 404, or 400 without a name."""
    if name is None:
        raise invalid("model", "Field required")
    # Bedrock has a region and the maker before a name.
    model = MODELS.get(name.rpartition("anthropic.")[2]) if isinstance(name, str) else None
    if model is None:
        raise ApiError(f"model: {name}", status=404, param="model")
    return model


def _shape(model: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": f"{model.created}T00:00:00Z",
        "max_input_tokens": CONTEXT,
        "max_tokens": model.output,
        "capabilities": None,
    }


async def list_models(request: Request) -> Answer:
    query = request.query()
    limit = whole_number(query.get("limit", str(DEFAULT_LIMIT)))
    if limit is None or not 1 <= limit <= MOST:
        raise invalid("limit", f"Input should be a whole number from 1 to {MOST}")
    names = list(MODELS)
    start = names.index(find(query["after_id"]).id) + 1 if "after_id" in query else 0
    end = names.index(find(query["before_id"]).id) if "before_id" in query else len(names)
    if "before_id" in query:
        start = max(start, end - limit)
    page = names[start : min(end, start + limit)]
    more = start > 0 if "before_id" in query else start + len(page) < end
    return json_response(
        {
            "data": [_shape(MODELS[name]) for name in page],
            "has_more": more,
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
        }
    )


async def retrieve(request: Request) -> Answer:
    return json_response(_shape(find(request.params["model"])))


ROUTES = (Route("GET", "/v1/models", list_models), Route("GET", "/v1/models/{model}", retrieve))
