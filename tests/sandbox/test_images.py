"""Pictures through the SDK: they are real, they depend on what was sent, and answers are valid."""

import base64
import io
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, OpenAI, RateLimitError
from PIL import Image

from tests.support import sse
from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess

GPT = "gpt-image-1"


def opened(item: Any) -> Image.Image:
    """The picture of an answer's item; Pillow reads all of it."""
    picture = Image.open(io.BytesIO(base64.b64decode(item.b64_json if hasattr(item, "b64_json") else item)))
    picture.load()
    return picture


def valid(raw: Any) -> Any:
    assert_valid("ImagesResponse", raw.http_response.json())
    return raw.parse()


def generate(client: OpenAI, prompt: str = "A cloud", **options: Any) -> Any:
    return valid(client.images.with_raw_response.generate(**{"model": GPT, "prompt": prompt, **options}))


def edit(client: OpenAI, image: Any, prompt: str = "Add a sun", **options: Any) -> Any:
    return valid(client.images.with_raw_response.edit(**{"model": GPT, "image": image, "prompt": prompt, **options}))


def png(colour: Any, size: tuple[int, int] = (64, 64), mode: str = "RGB", name: str = "a.png") -> tuple[str, bytes]:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, "PNG")
    return name, file.getvalue()


class TestGenerations:
    def test_a_gpt_model_answers_in_base64(self, client: OpenAI) -> None:
        answer = generate(client, size="1536x1024", quality="low")

        picture = opened(answer.data[0])
        assert (picture.format, picture.size) == ("PNG", (1536, 1024))
        assert answer.data[0].url is None
        assert (answer.size, answer.quality, answer.background) == ("1536x1024", "low", "opaque")
        usage = answer.usage
        assert usage.output_tokens == 408
        assert usage.input_tokens == usage.input_tokens_details.text_tokens > 0
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens

    def test_prompts_and_copies_differ(self, client: OpenAI) -> None:
        first = generate(client, n=2, quality="low")
        assert first.data[0].b64_json == generate(client).data[0].b64_json
        assert len({item.b64_json for item in (*first.data, *generate(client, "A tree").data)}) == 3
        assert first.usage.output_tokens == 544

    @pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
    def test_formats(self, client: OpenAI, form: str) -> None:
        answer = generate(client, output_format=form)
        assert opened(answer.data[0]).format == form.upper()
        assert answer.output_format == form

    @pytest.mark.parametrize("form", ["png", "webp"])
    def test_a_transparent_background(self, client: OpenAI, form: str) -> None:
        picture = opened(generate(client, background="transparent", output_format=form).data[0])
        assert picture.mode == "RGBA"
        assert picture.getpixel((0, 0))[3] == 0
        assert picture.getpixel((512, 512))[3] == 255

    def test_links_can_be_followed(self, client: OpenAI, running_sandbox: SandboxProcess) -> None:
        answer = generate(client, model="dall-e-3", size="1792x1024", style="natural", quality="hd")

        url = answer.data[0].url
        assert url.startswith(running_sandbox.origin)
        found = httpx.get(url, trust_env=False)
        assert found.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(found.content)).size == (1792, 1024)
        assert answer.data[0].revised_prompt
        assert answer.usage is None
        assert httpx.get(f"{running_sandbox.origin}/sandbox/images/img-none.png", trust_env=False).status_code == 404

    def test_dall_e_2_in_base64(self, client: OpenAI) -> None:
        answer = generate(client, model="dall-e-2", size="256x256", response_format="b64_json", n=2)
        assert [opened(item).size for item in answer.data] == [(256, 256)] * 2

    def test_newer_models_take_any_size(self, client: OpenAI) -> None:
        raw = client.images.generate(model="gpt-image-2", prompt="x", size="1536x864")  # type: ignore[arg-type]
        assert raw.data is not None
        assert opened(raw.data[0]).size == (1536, 864)

    async def test_the_async_sdk_works_too(self, running_sandbox: SandboxProcess) -> None:
        client: AsyncOpenAI = running_sandbox.async_client()
        async with client:
            answer = await client.images.generate(model=GPT, prompt="x")
            assert answer.data is not None
            assert opened(answer.data[0]).size == (1024, 1024)

    def test_a_stream_with_partial_pictures(self, sandbox: SandboxProcess) -> None:
        body = {"model": GPT, "prompt": "A cloud", "stream": True, "partial_images": 2, "quality": "low"}
        events = sse.read(sandbox.post("/images/generations", body), "ImageGenStreamEvent")

        assert [event["type"] for event in events] == [
            *("image_generation.partial_image", "image_generation.partial_image", "image_generation.completed"),
        ]
        assert [event.get("partial_image_index") for event in events] == [0, 1, None]
        assert {opened(event["b64_json"]).size for event in events} == {(1024, 1024)}
        assert len({event["b64_json"] for event in events}) == 3
        assert events[-1]["usage"]["output_tokens"] == 272 + 200

    def test_the_sdk_reads_the_stream(self, client: OpenAI) -> None:
        stream = client.images.generate(model=GPT, prompt="A cloud", stream=True)
        assert [event.type for event in stream] == ["image_generation.completed"]

    @pytest.mark.parametrize(
        ("options", "param"),
        [
            ({"size": "256x256"}, "size"),
            ({"quality": "hd"}, "quality"),
            ({"response_format": "url"}, "response_format"),
            ({"style": "vivid"}, "style"),
            ({"n": 11}, "n"),
            ({"prompt": ""}, "prompt"),
            ({"partial_images": 4}, "partial_images"),
            ({"background": "transparent", "output_format": "jpeg"}, "background"),
            ({"model": "gpt-image-2", "size": "1000x1000"}, "size"),
            ({"model": "dall-e-3", "n": 2}, "n"),
            ({"model": "dall-e-3", "size": "512x512"}, "size"),
            ({"model": "dall-e-3", "quality": "high"}, "quality"),
            ({"model": "dall-e-2", "prompt": "x" * 1001}, "prompt"),
            ({"model": "dall-e-2", "background": "opaque"}, "background"),
            ({"model": "gpt-4o"}, "model"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, client: OpenAI, options: dict[str, Any], param: str) -> None:
        with pytest.raises(BadRequestError) as caught:
            generate(client, **options)
        assert caught.value.param == param

    def test_the_safety_system(self, client: OpenAI) -> None:
        with pytest.raises(BadRequestError) as caught:
            generate(client, "x [[sandbox: refusal]]")
        assert (caught.value.code, caught.value.type) == ("moderation_blocked", "image_generation_user_error")


class TestEdits:
    def test_the_pixels_are_those_of_the_input(self, client: OpenAI) -> None:
        dark, light = (opened(edit(client, png(colour)).data[0]) for colour in ("black", "white"))

        assert dark.size == (1024, 1024)
        # Three quarters of each colour are the input's, and the rest is the prompt's.
        for low, high in zip(dark.getpixel((10, 900)), light.getpixel((10, 900)), strict=True):
            assert 190 <= high - low <= 192
        other = opened(edit(client, png("black"), "Add a moon").data[0])
        assert other.getpixel((10, 900)) != dark.getpixel((10, 900))

    def test_the_prompts_mark_is_in_the_corner(self, client: OpenAI) -> None:
        picture = opened(edit(client, png("white")).data[0])
        corner = picture.crop((1024 - 128, 0, 1024, 128))
        assert len(corner.getcolors()) > 8
        assert len(picture.crop((0, 0, 800, 1024)).getcolors()) == 1

    def test_each_of_sixteen_inputs_shows(self, client: OpenAI) -> None:
        shades = [index * 16 for index in range(16)]
        answer = edit(client, [png((shade, shade, shade)) for shade in shades], size="1024x1024")

        row = [opened(answer.data[0]).getpixel((64 * index + 32, 900))[0] for index in range(16)]
        assert row == sorted(row)
        assert len(set(row)) == 16
        assert answer.usage.input_tokens_details.image_tokens == 16 * 323
        with pytest.raises(BadRequestError, match="array too long"):
            edit(client, [png("white")] * 17)

    def test_only_what_the_mask_leaves_open_changes(self, client: OpenAI) -> None:
        mask = Image.new("RGBA", (64, 64), (0, 0, 0, 255))
        mask.paste((0, 0, 0, 0), (0, 0, 32, 64))
        file = io.BytesIO()
        mask.save(file, "PNG")
        picture = opened(edit(client, png("red"), mask=("mask.png", file.getvalue())).data[0])
        assert picture.getpixel((100, 900)) != (255, 0, 0)
        assert picture.getpixel((900, 900)) == picture.getpixel((1000, 10)) == (255, 0, 0)

    def test_other_formats_count_too(self, client: OpenAI) -> None:
        made = set()
        for colour in ("red", "blue"):
            file = io.BytesIO()
            Image.new("RGB", (64, 64), colour).save(file, "JPEG")
            made.add(edit(client, ("a.jpg", file.getvalue())).data[0].b64_json)
        assert len(made) == 2

    def test_high_fidelity_costs_more(self, client: OpenAI) -> None:
        answer = edit(client, png("red"), input_fidelity="high", quality="medium", n=2)
        assert answer.usage.input_tokens_details.image_tokens == 323 + 4160
        assert answer.usage.output_tokens == 2112

    def test_a_stream(self, sandbox: SandboxProcess) -> None:
        fields = {"model": GPT, "prompt": "Add a sun", "stream": "true", "partial_images": "1"}
        files = {"image": ("a.png", png("red")[1], "image/png")}
        answer = sandbox.http.post(f"{sandbox.url}/images/edits", data=fields, files=files)
        events = sse.read(answer, "ImageEditStreamEvent")
        assert [event["type"] for event in events] == ["image_edit.partial_image", "image_edit.completed"]

    def test_the_sdk_reads_the_stream(self, client: OpenAI) -> None:
        stream = client.images.edit(model=GPT, image=png("red"), prompt="x", stream=True, partial_images=3)
        assert [event.type for event in stream] == ["image_edit.partial_image"] * 3 + ["image_edit.completed"]

    def test_json_bodies(self, sandbox: SandboxProcess, client: OpenAI) -> None:
        data = "data:image/png;base64," + base64.b64encode(png("white")[1]).decode()
        stored = client.files.create(file=png("white"), purpose="vision")

        def made(reference: dict[str, str]) -> str:
            body = {"model": GPT, "prompt": "Add a sun", "images": [reference]}
            answer = sandbox.post("/images/edits", body).json()
            assert_valid("ImagesResponse", answer)
            return str(answer["data"][0]["b64_json"])

        assert made({"image_url": data}) == made({"file_id": stored.id})
        assert made({"image_url": data}) != made({"image_url": "https://example.com/a.png"})
        missing = sandbox.post("/images/edits", {"model": GPT, "prompt": "x", "images": [{"file_id": "file-none"}]})
        assert missing.status_code == 404

    def test_dall_e_2_is_choosy(self, client: OpenAI) -> None:
        assert edit(client, png("red"), model="dall-e-2", size="256x256").data[0].url
        for image, message in (
            ([png("red"), png("blue")], "one image only"),
            (png("red", (64, 32)), "must be square"),
            (("a.png", b"no png"), "must be a PNG"),
        ):
            with pytest.raises(BadRequestError, match=message):
                edit(client, image, model="dall-e-2")

    @pytest.mark.parametrize(
        ("mask", "why"),
        [
            (png("red"), "missing alpha channel"),
            (png("#0000", (32, 32), "RGBA"), "size does not match"),
            (("m.png", b"x"), "must be a PNG"),
        ],
    )
    def test_a_mask_must_fit(self, client: OpenAI, mask: Any, why: str) -> None:
        with pytest.raises(BadRequestError, match=why):
            edit(client, png("red"), mask=mask)

    def test_what_is_no_picture_is_refused(self, client: OpenAI) -> None:
        with pytest.raises(BadRequestError) as caught:
            edit(client, ("notes.txt", b"x"))
        assert caught.value.code == "unsupported_file_mimetype"
        with pytest.raises(BadRequestError) as caught:
            client.images.edit(model=GPT, image=[], prompt="x")
        assert caught.value.param == "image"

    def test_directives_in_the_prompt_hold(self, client: OpenAI) -> None:
        with pytest.raises(RateLimitError):
            edit(client, png("red"), "x [[sandbox: status=429]]")


# The SDK says that variations are deprecated.
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
class TestVariations:
    def test_they_resemble_the_input(self, client: OpenAI) -> None:
        raw = client.images.with_raw_response.create_variation(
            image=png("white"), n=2, size="256x256", response_format="b64_json"
        )
        first, second = (opened(item) for item in valid(raw).data)
        assert first.size == (256, 256)
        assert first.getpixel((5, 5)) != second.getpixel((5, 5))
        assert min(*first.getpixel((5, 5)), *second.getpixel((5, 5))) >= 191

    def test_only_one_model_makes_them(self, client: OpenAI) -> None:
        with pytest.raises(BadRequestError):
            client.images.create_variation(image=png("white"), model="gpt-image-1")
