"""Anthropic's dialect as Vertex AI speaks it: the model is in the path, and the API's version in the body.

As Google's description of ``aiplatform`` v1 and Anthropic's SDK 2.14 have it.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from providers.dialects.failures import DialectError

VERSION = "vertex-2023-10-16"
"""What the first version of Anthropic's API is called here."""
FIRST = "2023-06-01"
MESSAGES, COUNT = "messages", "messages/count_tokens"
MODELS = "publishers/anthropic/models"


def placed(path: str, model: str, *, stream: bool = False) -> str:
    """Return where an operation's calls go below the account's address; a count names its model in the body.

    Raises ``DialectError`` for a name that would lead elsewhere.
    """
    if path == COUNT:
        return f"{MODELS}/count-tokens:rawPredict"
    name = quote(model.removeprefix(f"{MODELS}/").removeprefix("anthropic/"), safe="@")
    if "%2F" in name or name in ("", ".", ".."):
        raise DialectError(f"{model[:100]!r} is not a model's name.", param="model", code="model_not_found", status=404)
    return f"{MODELS}/{name}:{'streamRawPredict' if stream else 'rawPredict'}"


def body_fields(fields: Mapping[str, Any], path: str, model: str, version: str = "") -> dict[str, Any]:
    """Return the fields of a body; ``version`` is the caller's, of the header that is not sent here."""
    made = {name: value for name, value in fields.items() if name != "model"}
    if path == COUNT:
        made["model"] = model
    made.setdefault("anthropic_version", VERSION if version in ("", FIRST) else version)
    return made
