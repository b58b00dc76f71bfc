"""What a dialect raises, and the errors of vendors in OpenAI's words: status first, then the vendor's own code and
message.
"""

import re
from collections.abc import Mapping
from typing import Any

from providers.dialects.neutral import Failure


class DialectError(ValueError):
    """Something cannot be translated. ``status`` 400 is the caller's request, 502 an answer that cannot be read.

    ``param`` names the field in the caller's own dialect.
    """

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status

    def failure(self) -> Failure:
        """Return the error in the neutral form."""
        kind = "invalid_request_error" if self.status < 500 else "api_error"
        return Failure(self.status, self.message, kind, self.code, self.param)


def unsupported(param: str, why: str) -> DialectError:
    """Return the error for a field that the target cannot take."""
    return DialectError(f"Unsupported parameter: '{param}' {why}", param=param, code="unsupported_parameter")


def unreadable(what: str) -> DialectError:
    """Return the error for an upstream answer that is not in its dialect."""
    return DialectError(
        f"The provider's answer could not be read: {what}.", code="invalid_upstream_response", status=502
    )


# status: OpenAI's type and code
STATUSES: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("authentication_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("permission_error", "permission_denied"),
    404: ("invalid_request_error", "not_found"),
    408: ("timeout_error", "timeout"),
    409: ("invalid_request_error", "conflict"),
    413: ("invalid_request_error", "request_too_large"),
    422: ("invalid_request_error", None),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    499: ("invalid_request_error", "cancelled"),
    500: ("server_error", "server_error"),
    501: ("server_error", "not_implemented"),
    502: ("server_error", "bad_gateway"),
    503: ("overloaded_error", "overloaded"),
    504: ("timeout_error", "timeout"),
    529: ("overloaded_error", "overloaded"),
}

# MiniMax's codes, and the status that they mean (platform.minimax.io, "Error Codes"): a time that is over, limits of
# rate, tokens, connections and plans, balances, keys, and requests or contents that it refuses.
MINIMAX = {1001: 504, 1002: 429, 1004: 401, 1008: 402, 1026: 400, 1027: 400, 1039: 429, 1041: 429, 2013: 400}
MINIMAX |= {2049: 401, 2056: 429}
# Messages are the only place where most vendors say these.
_CONTEXT = re.compile(
    r"context.{0,3}(length|window|size)|maximum context|prompt is too long|too many (input )?tokens|input token count"
    r"|exceeds the maximum number of tokens|max_tokens.{0,40}context|input is too long|reduce the length",
    re.I,
)
_QUOTA = re.compile(
    r"insufficient.{0,3}(quota|balance|credits?|funds)|credit balance is too low|billing|exceeded your current "
    r"quota|payment",
    re.I,
)
_SAFETY = re.compile(
    r"content.{0,3}(policy|filter|management)|safety|prohibited|blocked by|responsible.?ai|moderation", re.I
)
_KEY = re.compile(
    r"api.?key not valid|invalid api.?key|api key expired|incorrect api key|unauthorized|invalid.{0,3}token", re.I
)
_MODEL = re.compile(
    r"model_not_found|deploymentnotfound|deployment.{0,60}does not exist|(unknown|no such|unsupported) model"
    r"|model.{0,80}(not found|does not exist|not exist|is not available)|is not found for API version",
    re.I,
)


def classify(status: int, message: str, code: str | None = None, param: str | None = None) -> Failure:
    """Return the failure that a vendor's status, message and code (in any vendor's spelling) amount to.

    The status decides the class; code and message only distinguish what shares a status. An out-of-credit 400 or 403 is
    a quota error with status 429, as OpenAI has it, and an invalid key is 401 whatever the vendor chose.
    """
    if status < 400 or status > 599:
        status = 502
    said = f"{code or ''} {message}"
    if status in (400, 403) and _KEY.search(said):
        status = 401
    kind, known = STATUSES.get(status, ("server_error", None) if status >= 500 else ("invalid_request_error", None))
    found: str | None = known
    if status in (400, 413, 422, 429) and _CONTEXT.search(said) and not _per_minute(said):
        return Failure(400, message, "invalid_request_error", "context_length_exceeded", param)
    if status in (402, 429, 400, 403) and _QUOTA.search(said) and not _per_minute(said):
        return Failure(429, message, "insufficient_quota", "insufficient_quota", param)
    if status == 402:
        return Failure(429, message, "insufficient_quota", "insufficient_quota", param)
    if status in (400, 403, 422) and _SAFETY.search(said):
        return Failure(400, message, "invalid_request_error", "content_filter", param)
    if status in (400, 404) and _MODEL.search(said):
        return Failure(404, message, "invalid_request_error", "model_not_found", "model")
    if status == 400 and code and code.islower():
        found = code
    return Failure(503 if status == 529 else status, message, kind, found, param)


def _per_minute(said: str) -> bool:
    """Whether a limit counts a time: Gemini calls such limits a quota, and Groq names tokens per minute."""
    return bool(re.search(r"per.?(minute|second|day|hour|model|user|project)|\b[RT]P[MDS]\b|retry in", said, re.I))


def unwrapped(fields: Any) -> Any:
    """Return the fields of an error that a server put into an array, or into a list called ``errors``, like others'."""
    if isinstance(fields, list) and fields:
        fields = fields[0]
    if isinstance(fields, dict) and not fields.get("error"):
        several = fields.get("errors")
        if isinstance(several, list) and several:
            return {**fields, "error": several[0]}
        if (inner := buried(fields)) is not None:
            return {**fields, "error": inner}
    return fields


def buried(fields: Mapping[str, Any]) -> Any:
    """Return the error that an answer has in a choice (OpenRouter), or in ``base_resp`` (MiniMax, where 0 means
    success); ``None`` where there is none.
    """
    base = fields.get("base_resp")
    code = base.get("status_code") if isinstance(base, dict) else None
    if isinstance(base, dict) and isinstance(code, int) and code:
        said = base.get("status_msg") or "The provider answered with an error"
        return {"message": f"{said} (status code {code})", "code": MINIMAX.get(code, 502)}
    choices = fields.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("error"):
            return choice["error"]
        if isinstance(choice, dict) and choice.get("finish_reason") == "error":
            return {"message": "The provider ended the answer with the finish reason 'error'.", "code": 502}
    return None


def message_of(body: bytes, fields: Any) -> str:
    """Return a message for an error body of no known form: its own words, shortened."""
    if isinstance(fields, dict):
        for key in ("message", "detail", "error", "error_message", "title", "msg"):
            if isinstance(fields.get(key), str) and fields[key]:
                return str(fields[key])
    words = body.decode("utf-8", "replace").strip()
    if not words or words.startswith("<"):
        return "The provider answered with an error and no message."
    return words[:500]
