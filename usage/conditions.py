"""Filters of the query API: the contract's operators over columns of usage records.

A field is a row: its column, its type and the factor between what callers write and what the column holds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard

from django.db.models import Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Coalesce, NullIf

from usage.models import UsageRecord
from usage.report import MetadataValue

TEXT, NUMBER, FLAG, LIST = "string", "number", "boolean", "list"
MOST_VALUES = 1000
MOST_FILTERS = 50

LARGEST = 2**63 - 1
RESOLVED: Final = "model_named"
"""The column of the model that a call went to, whatever it named: see :func:`with_models`."""


class BadQuery(ValueError):
    """A query that can't be answered; the message says which parameter, what is valid, and ``param`` names it."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Field:
    """What a name in a query is: ``column`` of a record, of a type; a number is multiplied with ``scale`` for it."""

    column: str
    kind: str = TEXT
    scale: float = 1


_COMPARED: Final = {
    "EQUAL": "",
    "NOT_EQUAL": "",
    "GREATER_THAN": "__gt",
    "LESS_THAN": "__lt",
    "GREATER_THAN_EQUAL": "__gte",
    "LESS_THAN_EQUAL": "__lte",
}
_TEXTS: Final = {
    "STRING_CONTAINS": "__contains",
    "STRING_NOT_CONTAINS": "__contains",
    "STRING_STARTS_WITH": "__startswith",
    "STRING_NOT_STARTS_WITH": "__startswith",
    "STRING_ENDS_WITH": "__endswith",
    "STRING_NOT_ENDS_WITH": "__endswith",
}
_EQUALITY: Final = ("EQUAL", "NOT_EQUAL", "IN", "NOT_IN")
_PRESENCE: Final = ("PRESENT", "IS_NULL")
_ARRAYS: Final = ("ARRAY_HAS_ANY", "ARRAY_HAS_NONE")
OPERATORS: Final = {
    TEXT: (*_EQUALITY, *_TEXTS, *_PRESENCE),
    NUMBER: (*_COMPARED, "BETWEEN", "IN", "NOT_IN", *_PRESENCE),
    FLAG: ("EQUAL", "NOT_EQUAL", "IN", "NOT_IN", *_PRESENCE),
    LIST: (*_ARRAYS, "IN", "NOT_IN", "STRING_CONTAINS", "STRING_NOT_CONTAINS", *_PRESENCE),
}
"""The operators that each type takes."""


def narrowed(
    records: "QuerySet[UsageRecord]", number: int, field: Field, operator: str, value: Any
) -> "QuerySet[UsageRecord]":
    """Return the records that satisfy one filter, the query's ``number``-th. Raises :class:`BadQuery`."""
    param = f"filters[{number}]"
    if operator not in OPERATORS[field.kind]:
        raise BadQuery(
            f"{operator!r} can't be used for a {field.kind}. Valid operators: {', '.join(OPERATORS[field.kind])}.",
            f"{param}.operator",
        )
    param = f"{param}.value"
    column = field.column
    if field.kind == LIST:
        alias = f"text_{number}"
        records = records.annotate(**{alias: Cast(column, TextField())})
        return records.filter(_list_condition(alias, operator, value, param))
    if operator in _PRESENCE:
        return records.filter(_presence(field, operator, value, param))
    if operator in ("IN", "NOT_IN"):
        given = [_converted(field, each, param) for each in _values(value, param)]
        inside = Q(**{f"{column}__in": given})
        return records.filter(inside if operator == "IN" else ~inside)
    if operator == "BETWEEN":
        low_high = _values(value, param)
        if len(low_high) != 2:
            raise BadQuery("BETWEEN takes a list of two numbers.", param)
        low, high = (_converted(field, each, param) for each in low_high)
        return records.filter(Q(**{f"{column}__gte": low, f"{column}__lte": high}))
    suffix = _TEXTS.get(operator, _COMPARED.get(operator, ""))
    condition = Q(**{f"{column}{suffix}": _converted(field, value, param)})
    return records.filter(~condition if "NOT" in operator else condition)


def with_metadata(records: "QuerySet[UsageRecord]", key: Any, number: int) -> "tuple[QuerySet[UsageRecord], Field]":
    """Return the records with the value of a metadata key beside them, and the field that it is.

    Raises :class:`BadQuery`.
    """
    alias = f"metadata_{number}"
    return records.annotate(**{alias: metadata_value(key, f"filters[{number}]")}), Field(alias)


def metadata_value(key: Any, param: str) -> MetadataValue:
    """Return what a record's metadata has under a key. Raises :class:`BadQuery`."""
    if not is_text(key) or '"' in key:
        raise BadQuery(f"{param}: a metadata key is a string without quotation marks.", param)
    return MetadataValue(key)


def with_models(records: "QuerySet[UsageRecord]") -> "QuerySet[UsageRecord]":
    """Return the records with the public name of the model that they went to (:data:`RESOLVED`).

    Of what was refused, and of records of older releases, that is the name that was asked for.
    """
    return records.annotate(**{RESOLVED: Coalesce(NullIf("model_resolved", Value("")), "model_asked")})


def is_text(value: Any) -> TypeGuard[str]:
    """Whether a value is a string that a database can be asked for: PostgreSQL takes no NUL."""
    return isinstance(value, str) and "\0" not in value


def moment(value: Any, param: str) -> datetime:
    """Return an ISO 8601 time, in UTC. Raises :class:`BadQuery`."""
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise BadQuery(f"{param} must be a time like 2026-11-26T12:00:00Z.", param) from None


def filters_of(query: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a query's filters as objects. Raises :class:`BadQuery`."""
    found = query.get("filters")
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise BadQuery("filters must be a list of objects.", "filters")
    if len(found) > MOST_FILTERS:
        raise BadQuery(f"filters has more than {MOST_FILTERS} entries.", "filters")
    return found


def _list_condition(alias: str, operator: str, value: Any, param: str) -> Q:
    if operator in _PRESENCE:
        empty = Q(**{alias: "[]"})
        return empty if _wants_null(operator, value) else ~empty
    condition = Q(pk__in=[])
    for each in _values(value, param) if operator in (*_ARRAYS, "IN", "NOT_IN") else [value]:
        if not isinstance(each, str):
            raise BadQuery(f"{param} must be strings.", param)
        # As JSON has it, quotation marks included, so that a part of another name is not one.
        whole = json.dumps(each, ensure_ascii=False)
        condition |= Q(**{f"{alias}__contains": whole if "CONTAINS" not in operator else whole[1:-1]})
    return ~condition if operator in ("ARRAY_HAS_NONE", "NOT_IN", "STRING_NOT_CONTAINS") else condition


def _presence(field: Field, operator: str, value: Any, param: str) -> Q:
    missing = Q(**{f"{field.column}__isnull": True})
    if field.kind == TEXT:
        missing |= Q(**{field.column: ""})
    return missing if _wants_null(operator, value) else ~missing


def _wants_null(operator: str, value: Any) -> bool:
    """Whether absent values are asked for: both operators may be turned around by the value ``false``."""
    return (operator == "IS_NULL") == (value is not False)


def _values(value: Any, param: str) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > MOST_VALUES:
        raise BadQuery(f"{param} must be a list of at most {MOST_VALUES} values.", param)
    return value


def _converted(field: Field, value: Any, param: str) -> Any:
    if field.kind == NUMBER:
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
            raise BadQuery(f"{param} must be a number.", param)
        return max(-LARGEST, min(round(value * field.scale), LARGEST)) if field.scale != 1 else value
    if field.kind == FLAG:
        if not isinstance(value, bool):
            raise BadQuery(f"{param} must be true or false.", param)
        return value
    if not is_text(value):
        raise BadQuery(f"{param} must be a string without NUL.", param)
    return value
