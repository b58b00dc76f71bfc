"""Output tokens of images that a request asks for: what it will cost, where its model is priced by tokens.

By quality and size, as OpenAI's image generation guide publishes them under "Cost and latency"
(developers.openai.com/api/docs/guides/image-generation) for GPT Image 1 and 1.5; each partial image of a stream costs
100 more. What is left to the model (``auto``) counts as the dearest. For other models no such table is published.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from accounts.numbers import whole_number

TOKENS: Final[dict[str, dict[str, int]]] = {
    "low": {"1024x1024": 272, "1024x1536": 408, "1536x1024": 400},
    "medium": {"1024x1024": 1056, "1024x1536": 1584, "1536x1024": 1568},
    "high": {"1024x1024": 4160, "1024x1536": 6240, "1536x1024": 6208},
}
DEAREST: Final = "high"
PARTIAL_TOKENS: Final = 100
MOST_PARTIALS: Final = 3
PUBLISHED: Final = re.compile(r"(?:gpt-image-1(?:\.5)?|chatgpt-image-latest)(?:-20\d\d-\d\d-\d\d)?\Z")


def output_tokens(units: Mapping[str, int], fields: Mapping[str, msgspec.Raw], model: str) -> int | None:
    """Return the output tokens of the images in ``units`` (counts by ``images:QUALITY:SIZE``), made by ``model``.

    ``fields`` are the request's, for its partial images. ``None`` where nothing says how many tokens there will be.
    """
    if not PUBLISHED.match(model.lower()):
        return None
    partials = whole_number(bytes(fields.get("partial_images", b"0")), MOST_PARTIALS) or 0
    images = [(count, unit.split(":")[1:]) for unit, count in units.items() if unit.startswith("images")]
    return sum(count * (_tokens_of_one(marks) + partials * PARTIAL_TOKENS) for count, marks in images)


def _tokens_of_one(marks: list[str]) -> int:
    sizes = next((TOKENS[mark] for mark in marks if mark in TOKENS), TOKENS[DEAREST])
    return next((sizes[mark] for mark in marks if mark in sizes), max(sizes.values()))
