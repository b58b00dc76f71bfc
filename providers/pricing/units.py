"""Published prices per image and per second of video, which the public price list has no units for.

From OpenAI's pricing page (platform.openai.com/docs/pricing, model pages of DALL·E 2, DALL·E 3 and Sora 2), as of
January 2026. In US dollars. Units as ``providers.pricing.sheet`` names them; a unit without a variant is the price of
the vendor's default size and quality.
"""

from typing import Final

VERSION: Final = "openai-pricing/2026-01"

UNIT_PRICES: Final[dict[str, dict[str, dict[str, str]]]] = {
    "openai": {
        "dall-e-2": {
            "images": "0.020",
            "images:256x256": "0.016",
            "images:512x512": "0.018",
            "images:1024x1024": "0.020",
        },
        "dall-e-3": {
            "images": "0.040",
            "images:hd": "0.080",
            "images:1024x1024": "0.040",
            "images:1024x1792": "0.080",
            "images:1792x1024": "0.080",
            "images:hd:1024x1024": "0.080",
            "images:hd:1024x1792": "0.120",
            "images:hd:1792x1024": "0.120",
        },
        "sora-2": {"video_seconds": "0.10"},
        "sora-2-pro": {
            "video_seconds": "0.30",
            "video_seconds:1024x1792": "0.50",
            "video_seconds:1792x1024": "0.50",
        },
    },
}
"""Prices by provider in the public list, upstream model and unit."""

LISTED_AS: Final[dict[str, dict[str, str]]] = {
    "openai": {"tts-1-1106": "tts-1", "tts-1-hd-1106": "tts-1-hd"},
}
"""Snapshots that the public list knows under another name only."""

FREE: Final[dict[str, tuple[str, ...]]] = {"openai": ("omni-moderation", "text-moderation")}
"""Models that cost nothing, by the beginning of their name. Everything else without a price is unpriced, not free."""
