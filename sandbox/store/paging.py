"""Lists with cursors, as OpenAI pages them."""

from typing import Any

from sandbox.errors import ApiError, invalid_value
from sandbox.wire.numbers import whole_number

Item = dict[str, Any]


def page(items: list[Item], query: dict[str, str], *, order: str = "desc", limit: int = 20, high: int = 100) -> Item:
    """One page of `items`, which are oldest first, by the query's `after`, `before`, `limit` and `order`.

    Raises ApiError 400 for a limit or order that does not exist, 404 for a cursor that is not in the list.
    """
    order = query.get("order", order)
    if order not in ("asc", "desc"):
        raise invalid_value("order", order, "'asc' and 'desc'")
    size = _limit(query.get("limit"), limit, high)
    rows = items if order == "asc" else items[::-1]
    if query.get("after"):
        rows = rows[_position(rows, query["after"], "after") + 1 :]
    if query.get("before"):
        rows = rows[: _position(rows, query["before"], "before")]
    shown = rows[:size]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(rows) > size,
    }


def with_metadata(items: list[Item], query: dict[str, str]) -> list[Item]:
    """The items whose metadata fit the query's `metadata[key]=value` pairs."""
    wanted = {name[9:-1]: value for name, value in query.items() if name.startswith("metadata[")}
    return [item for item in items if all((item["metadata"] or {}).get(key) == value for key, value in wanted.items())]


def _position(rows: list[Item], cursor: str, name: str) -> int:
    for index, row in enumerate(rows):
        if row["id"] == cursor:
            return index
    raise ApiError(f"No object found with id '{cursor}' in '{name}'.", status=404, param=name)


def _limit(value: str | None, default: int, high: int) -> int:
    if value is None:
        return default
    number = whole_number(value)
    if number is None or not 1 <= number <= high:
        raise ApiError(
            f"Invalid 'limit': expected an integer from 1 to {high}, but got '{value}' instead.",
            param="limit",
            code="invalid_value",
        )
    return number
