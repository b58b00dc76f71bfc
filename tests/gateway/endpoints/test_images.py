"""Images through the customer's SDK in every form: generated, edited, varied, streamed, and what they cost."""

import base64
import io
import json
from typing import Any

import pytest
from openai import BadRequestError, OpenAI
from PIL import Image

from tests.support.surface import Surface, picture

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
PROMPT = "A minimalist isometric illustration of a cloud with a lightning bolt."
SMALL = {"prompt": PROMPT, "size": "1024x1024", "quality": "low"}
DALL_E = "media/dall-e-2"
GPT = "media/gpt-image-1"


def opened(answer: Any) -> Image.Image:
    """The image of an answer's first item."""
    return Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json)))


def test_the_generation_example(surface: Surface) -> None:
    answer = surface.sdk().images.generate(model=GPT, prompt=PROMPT, size="1024x1024", n=1)
    assert opened(answer).size == (1024, 1024)
    assert answer.model_extra == {"provider": "openai"}
    (sent,) = surface.upstream.requests()
    assert json.loads(sent["body"]) == {"model": "gpt-image-1", "prompt": PROMPT, "size": "1024x1024", "n": 1}


def test_a_generation_as_link(surface: Surface) -> None:
    answer = surface.sdk().images.generate(model=DALL_E, prompt="a", size="256x256", response_format="url")
    assert answer.data is not None
    assert str(answer.data[0].url).startswith("http")


async def test_a_generation_in_the_other_forms(surface: Surface) -> None:
    sdk = surface.sdk()
    raw = sdk.images.with_raw_response.generate(model=GPT, **SMALL)
    assert raw.headers["x-tfy-resolved-model"] == GPT
    with sdk.images.with_streaming_response.generate(model=GPT, **SMALL) as response:
        assert opened(response.parse()).size == opened(raw.parse()).size
    async with surface.async_sdk() as client:
        assert opened(await client.images.generate(model=GPT, **SMALL)).size == (1024, 1024)


async def test_a_streamed_generation(surface: Surface) -> None:
    asked: dict[str, Any] = {"model": GPT, **SMALL, "stream": True, "partial_images": 2}
    events = list(surface.sdk().images.generate(**asked))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    async with surface.async_sdk() as client:
        again = [event async for event in await client.images.generate(**asked)]
    assert again[-1].b64_json == events[-1].b64_json


@pytest.mark.parametrize("count", [1, 16])
def test_an_edit_of_files(surface: Surface, count: int) -> None:
    images: Any = [(f"{n}.png", picture(color="navy"), "image/png") for n in range(count)]
    asked = {"prompt": "Add a bright yellow sun.", "size": "1024x1024", "n": 1, "quality": "low"}
    answer = surface.sdk().images.edit(model=GPT, image=images if count > 1 else images[0], **asked)
    assert opened(answer).size == (1024, 1024)
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.image_tokens == 323 * count


async def test_an_edit_with_a_mask_in_the_other_forms(surface: Surface) -> None:
    asked: dict[str, Any] = {"model": GPT, "prompt": "A hat.", "quality": "low", "size": "1024x1024"}
    files: Any = {"image": ("a.png", picture()), "mask": ("m.png", picture(color="#00000000"))}
    sdk = surface.sdk()
    raw = sdk.images.with_raw_response.edit(**asked, **files)
    assert raw.headers["x-tfy-resolved-model"] == GPT
    with sdk.images.with_streaming_response.edit(**asked, **files) as response:
        assert opened(response.parse()).size == (1024, 1024)
    async with surface.async_sdk() as client:
        stream = await client.images.edit(**asked, **files, stream=True, partial_images=1)
        kinds = [event.type async for event in stream]
    assert kinds == ["image_edit.partial_image", "image_edit.completed"]


def test_an_edit_of_named_images(surface: Surface) -> None:
    link = "data:image/png;base64," + base64.b64encode(picture()).decode()
    body = {"model": GPT, "prompt": "A hat.", "images": [{"image_url": link}], "quality": "low", "size": "1024x1024"}
    answer = surface.gateway.post(surface.ada, "/v1/images/edits", body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["provider"] == "openai"


async def test_variations(surface: Surface) -> None:
    asked: Any = {
        "model": DALL_E,
        "image": ("a.png", picture()),
        "size": "256x256",
        "n": 2,
        "response_format": "b64_json",
    }
    sdk = surface.sdk()
    answer = sdk.images.create_variation(**asked)
    assert answer.data is not None
    assert answer.data[0].b64_json != answer.data[1].b64_json
    raw = sdk.images.with_raw_response.create_variation(**asked)
    assert raw.headers["x-tfy-resolved-model"] == DALL_E
    with sdk.images.with_streaming_response.create_variation(**asked) as response:
        assert len(response.parse().data) == 2
    async with surface.async_sdk() as client:
        assert opened(await client.images.create_variation(**asked)).size == (256, 256)


def test_a_model_that_makes_no_images_is_refused(surface: Surface) -> None:
    with pytest.raises(BadRequestError, match="image is not supported for the model"):
        surface.sdk().images.generate(model="media/gpt-4o-mini", prompt="a")
    with pytest.raises(BadRequestError, match="image is not supported for the model"):
        surface.sdk().images.edit(model="media/whisper-1", prompt="a", image=("a.png", picture()))
    assert surface.upstream.requests() == []


# --- what they cost -----------------------------------------------------------------------------------------


def generate(sdk: OpenAI, **asked: Any) -> Any:
    return lambda: sdk.images.generate(**{"prompt": "a", **asked})


@pytest.mark.parametrize(
    ("asked", "dollars"),
    [
        ({"model": DALL_E, "size": "256x256", "n": 3}, 0.016 * 3),
        ({"model": DALL_E}, 0.020),
        ({"model": "media/dall-e-3", "size": "1024x1792", "quality": "hd"}, 0.120),
        ({"model": "media/dall-e-3", "size": "1024x1024"}, 0.040),
    ],
)
def test_images_are_paid_by_size_and_quality(surface: Surface, asked: dict[str, Any], dollars: float) -> None:
    record = surface.record("image_generation", generate(surface.sdk(), **asked))
    assert record["cost_pico"] == pytest.approx(dollars * 10**12)
    assert record["price_gaps"] == ""


def test_images_are_paid_by_their_tokens(surface: Surface) -> None:
    record = surface.record("image_generation", generate(surface.sdk(), model=GPT, **SMALL))
    assert (record["output_tokens"], record["image_output_tokens"]) == (272, 272)
    assert record["cost_pico"] == record["input_tokens"] * 5_000_000 + 272 * 40_000_000


def test_a_streamed_edit_is_paid_too_though_its_options_come_last(surface: Surface) -> None:
    parts = [
        ("model", GPT),
        ("prompt", "a"),
        ("image", picture()),
        ("quality", "low"),
        ("size", "1024x1024"),
        ("stream", "true"),
    ]
    files: Any = [(name, ("a.png", part) if name == "image" else (None, part)) for name, part in parts]
    headers = {"authorization": f"Bearer {surface.ada}"}
    address = f"{surface.gateway.origin}/v1/images/edits"

    record = surface.record("image_edit", lambda: surface.gateway.http.post(address, files=files, headers=headers))
    assert record["stream"] is True
    assert (record["image_input_tokens"], record["image_output_tokens"]) == (323, 272)
    assert record["cost_pico"] > 272 * 40_000_000
    assert record["units"] == {"images:low:1024x1024": 1}


def test_a_private_price_by_image(surface: Surface) -> None:
    record = surface.record("image_generation", generate(surface.sdk(), model="media/sketcher", **SMALL))
    assert record["cost_pico"] == 50_000_000_000


def test_an_image_without_a_price_is_unpriced_not_free(surface: Surface) -> None:
    asked = {"model": "media/sketcher", "size": "1024x1024", "quality": "high"}
    record = surface.record("image_generation", generate(surface.sdk(), **asked))
    assert record["cost_pico"] is None
