"""What an account's server says that it offers: its own list of models, in each dialect, as models of the catalogue.

What the catalogue knows of a model it says itself; of others the list's own words and the name have to do.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from providers import egress
from providers.catalogue.models import KnownModel, known_model
from providers.credentials.exchange import TokenRefused
from providers.models import ProviderAccount, model_name_validator
from providers.probe.run import account_client
from providers.upstream.sync_client import Reply, Unreachable

MOST_PAGES = 20
MOST_MODELS = 5000
LARGEST_PAGE = 16 * 2**20
PAGE_SIZES: dict[str, dict[str, str]] = {"openai": {}, "anthropic": {"limit": "1000"}, "gemini": {"pageSize": "1000"}}
"""How each dialect is asked for as many models as it gives at once."""
NO_LIST = (
    "Vertex AI lists no models below a project's location. Add the catalogue's (manage.py seed_catalogue ACCOUNT), "
    "or name them in the console or a manifest."
)
NO_DEPLOYMENTS = (
    "Azure lists the models that could be deployed, not the deployments. Name these in the console or a manifest."
)
# What a name says of its model, where nothing else says it. The first that fits.
TYPES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern), types)
    for pattern, types in (
        (r"rerank", ("rerank",)),
        (r"embed|\bbge-|\be5-|\bgte-|voyage-", ("embedding",)),
        (r"moderation|llama-guard|shield", ("moderation",)),
        (r"whisper|transcri|parakeet|voxtral.*transcribe", ("audio_transcription",)),
        (r"\btts\b|-tts|speech|orpheus|kokoro", ("text_to_speech",)),
        (r"realtime|-live", ("realtime",)),
        (r"image|imagen|dall-e|flux|stable-diffusion|sdxl", ("image",)),
        (r"sora|veo-|video", ("video",)),
        (r"\bocr\b|-ocr", ("ocr",)),
        (r"babbage|davinci|gpt-3\.5-turbo-instruct", ("completion",)),
        (r"", ("chat",)),
    )
)
_METHODS = {
    "generateContent": "chat",
    "embedContent": "embedding",
    "predict": "image",
    "bidiGenerateContent": "realtime",
}


class DiscoveryFailed(Exception):
    """The server gave no list; the message says why, and holds no secret."""


class Page(NamedTuple):
    """A page of a list: its rows, and where the next begins, as a query says it; ``None`` at the end."""

    rows: list[dict[str, Any]]
    next: dict[str, str] | None


def discover(account: ProviderAccount) -> list[KnownModel]:
    """Return the models that the account's server lists, by name. Raises :class:`DiscoveryFailed`.

    It calls the server, and does not use the database.
    """
    found: dict[str, KnownModel] = {}
    fault = account.secrets_fault() or egress.url_fault(account.url)
    if fault:
        raise DiscoveryFailed(f"The account can't be called: {fault}")
    if account.vendor.vertex:
        raise DiscoveryFailed(NO_LIST)
    if account.vendor.deployments:
        raise DiscoveryFailed(NO_DEPLOYMENTS)
    try:
        client = account_client(account, max_bytes=LARGEST_PAGE)
    except TokenRefused as refusal:
        raise DiscoveryFailed(str(refusal)) from None
    with client:
        size, place = PAGE_SIZES[account.vendor.dialect], dict[str, str]()
        for _ in range(MOST_PAGES):
            query = urlencode(size | place)
            try:
                reply = client.call("GET", f"models?{query}" if query else "models")
            except Unreachable as failure:
                raise DiscoveryFailed(f"The server can't be reached: {failure}.") from None
            page = read_page(_good(reply))
            for model in models_of(account.kind, page.rows):
                found[model.name] = model
            if page.next is None or len(found) >= MOST_MODELS:
                break
            place = page.next
    return sorted(found.values(), key=lambda model: model.name)


def _good(reply: Reply) -> bytes:
    if reply.status in (401, 403):
        raise DiscoveryFailed(f"The server refused the key: it answered {reply.status}.")
    if reply.status != 200:
        raise DiscoveryFailed(f"The server has no list of models: GET /models answered {reply.status}.")
    return reply.body


def read_page(body: bytes) -> Page:
    """Return a page of a list, whichever dialect it is in. Raises :class:`DiscoveryFailed`."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DiscoveryFailed("The server's list of models is not JSON.") from None
    rows = fields
    if isinstance(fields, dict):
        rows = fields.get("data", fields.get("models"))
    if not isinstance(rows, list):
        raise DiscoveryFailed("The server's answer is not a list of models.")
    return Page([row for row in rows if isinstance(row, dict)], _next(fields if isinstance(fields, dict) else {}))


def _next(fields: dict[str, Any]) -> dict[str, str] | None:
    token = fields.get("nextPageToken")
    if isinstance(token, str) and token:
        return {"pageToken": token}
    last = fields.get("last_id")
    if fields.get("has_more") is True and isinstance(last, str) and last:
        return {"after_id": last}
    return None


def models_of(kind: str, rows: list[dict[str, Any]]) -> Iterator[KnownModel]:
    """Yield the models of a list's rows; what could not be a model's name is left out."""
    for row in rows:
        name = str(row.get("id") or row.get("name") or row.get("model") or "").removeprefix("models/")
        if not model_name_validator.regex.fullmatch(name):  # type: ignore[union-attr]
            continue
        known = known_model(kind, name)
        yield known or KnownModel(kind, name, _types(row, name), (), *_sizes(row))


def _types(row: dict[str, Any], name: str) -> tuple[str, ...]:
    methods = row.get("supportedGenerationMethods")
    if isinstance(methods, list):
        said = tuple(_METHODS[method] for method in methods if method in _METHODS)
        guessed = guess(name)
        return guessed if guessed != ("chat",) and "chat" in said else said[:1] or guessed
    return guess(name)


def guess(name: str) -> tuple[str, ...]:
    """Return what a model may be called for, by its name."""
    lower = name.lower()
    return next(types for pattern, types in TYPES if pattern.search(lower))


def _sizes(row: dict[str, Any]) -> tuple[int | None, int | None]:
    """Return the context window and the longest answer that a row says, in any server's words."""
    window = _number(row, "context_length", "context_window", "max_model_len", "inputTokenLimit", "max_input_tokens")
    return window, _number(row, "max_output_tokens", "max_completion_tokens", "outputTokenLimit", "max_tokens")


def _number(row: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = row.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31:
            return value
    return None
