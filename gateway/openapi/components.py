"""The parts of the OpenAPI description that every endpoint shares: credentials, headers, parameters, errors."""

from http import HTTPStatus
from typing import Any

from gateway.call.errors import TABLE

Part = dict[str, Any]

DESCRIPTION = """\
Gatehouse speaks OpenAI's API: every endpoint below takes and answers what OpenAI's own endpoint does, with the model
named `account/model`. What OpenAI describes field by field is not repeated here: a body is described by what Gatehouse
reads of it, and everything else passes through.

The same surface answers under `/v1`, `/api/llm` and `/api/llm/api/inference/openai`, each with and without
`/v1` behind it.
"""
BODY_ERRORS = (408, 413, 415)
NOBODY_READS = 499
# What any call can be answered beside its own; a call with a body can get BODY_ERRORS, too.
COMMON_ERRORS = tuple(sorted({row.status for _, row in TABLE} - {NOBODY_READS, *BODY_ERRORS}))

HEADERS: dict[str, str] = {
    "x-tfy-provider-name": "The provider account, for calls whose model or id does not say it.",
    "x-tfy-metadata": "A JSON object of strings, stored with the usage record.",
    "x-tfy-request-timeout": "Milliseconds for one attempt at the upstream.",
    "x-tfy-ttft-timeout-ms": "Milliseconds to the first token of a stream.",
    "x-tfy-retry-config": 'How often to try again, and when: {"attempts": 3, "onStatusCodes": [429, 500, 503]}.',
}
POST_HEADERS: dict[str, str] = {
    "idempotency-key": "The same call with the same key gets the first answer again for 24 hours, and costs nothing.",
}
PAGING: dict[str, Part] = {
    "limit": {"type": "integer", "minimum": 1},
    "order": {"type": "string", "enum": ["asc", "desc"]},
    "after": {"type": "string"},
    "before": {"type": "string"},
}
ERROR: Part = {
    "type": "object",
    "required": ["status", "message", "error", "error_origin_level"],
    "properties": {
        "status": {"const": "failure"},
        "message": {"type": "string", "description": "What is wrong, and what to do."},
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The field or header at fault."},
                "code": {"type": ["string", "null"]},
            },
        },
        "error_origin_level": {"type": "string", "description": "The stage at which the call ended."},
    },
}


def components() -> Part:
    """Return the description's components."""
    return {
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "description": "A token of Gatehouse, gh-…"},
            "apiKey": {
                "type": "apiKey",
                "in": "header",
                "name": "api-key",
                "description": "As Azure's clients send it.",
            },
        },
        "schemas": {"Error": ERROR},
        "parameters": {
            name: {
                "name": name,
                "in": "header",
                "required": False,
                "description": text,
                "schema": {"type": "string"},
            }
            for name, text in {**HEADERS, **POST_HEADERS}.items()
        },
        "responses": {f"Error{status}": error_response(status) for status in (*COMMON_ERRORS, *BODY_ERRORS)},
    }


def error_response(status: int) -> Part:
    """Return the answer that a status of ours has, with the codes that it can carry from the table of errors."""
    codes = list(dict.fromkeys(row.code for _, row in TABLE if row.status == status))
    text = f"{HTTPStatus(status).phrase}. Codes: {', '.join(codes)}, or a more precise one."
    return {
        "description": text,
        "headers": {
            "x-request-id": {"schema": {"type": "string"}, "description": "Ours, new for every call."},
            "x-gatehouse-error-origin": {"schema": {"enum": ["gateway", "upstream"]}},
        },
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def error_references(with_body: bool) -> Part:
    """Return the errors of an endpoint, as references."""
    statuses = (*COMMON_ERRORS, *BODY_ERRORS) if with_body else COMMON_ERRORS
    return {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in sorted(statuses)}


def parameter(name: str, place: str, schema: Part, description: str = "") -> Part:
    """Return a parameter of a path or a query."""
    made = {"name": name, "in": place, "required": place == "path", "schema": schema}
    return {**made, "description": description} if description else made
