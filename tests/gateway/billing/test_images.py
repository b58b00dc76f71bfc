"""The tokens of images that were asked for: the published ones, and none for models that publish none."""

from typing import Any

import msgspec
import pytest

from gateway.billing.images import output_tokens


def tokens(unit: str, count: int = 1, model: str = "gpt-image-1", **fields: Any) -> int | None:
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    return output_tokens({unit: count}, raw, model)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("images:low:1024x1024", 272),
        ("images:medium:1024x1536", 1584),
        ("images:high:1536x1024", 6208),
        ("images:low", 408),
        ("images:1024x1024", 4160),
        ("images", 6240),
        ("images:low:17x23", 408),
        ("input_characters", 0),
    ],
)
def test_tokens_by_quality_and_size(unit: str, expected: int) -> None:
    assert tokens(unit) == expected
    assert tokens(unit, 3) == 3 * expected


def test_partial_images_cost_more() -> None:
    assert tokens("images:low:1024x1024", 2, partial_images=3) == 2 * (272 + 300)
    for none in (None, "x", 0):
        assert tokens("images:low:1024x1024", partial_images=none) == 272


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("gpt-image-1", True),
        ("GPT-Image-1.5-2025-12-16", True),
        ("chatgpt-image-latest", True),
        ("gpt-image-1-mini", False),
        ("gpt-image-2", False),
        ("dall-e-3", False),
        ("my-deployment", False),
    ],
)
def test_models_with_published_tokens(model: str, known: bool) -> None:
    assert (tokens("images:low:1024x1024", model=model) is not None) is known
