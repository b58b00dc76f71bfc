"""Images by Gemini's own image models (``generateContent``) and by Imagen (``predict``)."""

from providers.dialects.failures import DialectError, unreadable, unsupported
from providers.dialects.families import gemini
from providers.dialects.gemini.answer import read_answer as read_generated
from providers.dialects.gemini.parts import write_media
from providers.dialects.images import ImageAnswer, ImageRequest
from providers.dialects.neutral import Media, Text
from providers.dialects.wire import Fields, answer_fields, encode, listed, text_of

RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
IMAGEN_RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")


def is_imagen(model: str) -> bool:
    """Whether a model is called through ``predict``."""
    return model.rsplit("/", 1)[-1].startswith("imagen")


def ratio(size: tuple[int, int], known: tuple[str, ...]) -> str:
    """Return the ratio of those that are known that is nearest to a size."""
    wanted = size[0] / max(size[1], 1)

    def distance(each: str) -> float:
        width, height = each.split(":")
        got = int(width) / int(height)
        return max(wanted / got, got / wanted) if wanted else got

    return min(known, key=distance)


def write_request(
    request: ImageRequest, model: str, *, strict: bool = False, vertex: bool = False
) -> tuple[bytes, list[str]]:
    """Return the JSON for ``generateContent`` or, for Imagen, ``predict``, and what had to be dropped."""
    dropped = list(request.extra)
    if dropped and strict:
        raise unsupported(dropped[0], f"is not supported by the model '{model}'.")
    if is_imagen(model):
        if request.sources:
            raise unsupported("image", f"is not supported by the model '{model}', which only generates.")
        parameters: Fields = {"sampleCount": request.n}
        if request.size:
            parameters["aspectRatio"] = ratio(request.size, IMAGEN_RATIOS)
            parameters["sampleImageSize" if vertex else "imageSize"] = "2K" if max(request.size) >= 2048 else "1K"
        return encode({"instances": [{"prompt": request.prompt}], "parameters": parameters}), dropped
    if request.n > 1:
        raise unsupported("n", f"must be 1 for the model '{model}'.")
    config: Fields = {"responseModalities": ["TEXT", "IMAGE"]}
    if request.size:
        config["imageConfig"] = {"aspectRatio": ratio(request.size, RATIOS)}
        if gemini(model).signed and max(request.size) >= 2048:
            config["imageConfig"]["imageSize"] = "4K" if max(request.size) >= 4096 else "2K"
    parts = [*(write_media(source) for source in request.sources), {"text": request.prompt}]
    return encode({"contents": [{"role": "user", "parts": parts}], "generationConfig": config}), dropped


def read_answer(body: bytes, model: str = "") -> ImageAnswer:
    """Return the images of an answer.

    One without any is an error: what the model said instead, or why it was blocked.
    """
    if is_imagen(model):
        images = [
            Media(
                "image", data=text_of(each.get("bytesBase64Encoded")), mime=text_of(each.get("mimeType")) or "image/png"
            )
            for each in listed(answer_fields(body), "predictions")
            if text_of(each.get("bytesBase64Encoded"))
        ]
        if not images:
            raise DialectError("The image was blocked by the provider's safety filter.", code="content_filter")
        return ImageAnswer(images)
    answer = read_generated(body)
    parts = [part for choice in answer.choices for part in choice.parts]
    images = [part for part in parts if isinstance(part, Media) and part.kind == "image"]
    text = "".join(part.text for part in parts if isinstance(part, Text))
    if images:
        return ImageAnswer(images, text, answer.usage)
    choice = answer.choices[0]
    if choice.finish == "content_filter":
        message = f"The image was blocked by the provider's safety filter ({choice.detail})."
        raise DialectError(message, code="content_filter")
    if text:
        raise DialectError(f"The model answered without an image: {text[:300]}", code="no_image")
    raise unreadable("it has no image")
