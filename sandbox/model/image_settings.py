"""What a request for images asks: sizes, qualities and formats by model, and what it costs in tokens."""

from dataclasses import dataclass
from typing import Any

from sandbox.errors import ApiError, invalid_value, missing_parameter
from sandbox.media import pictures
from sandbox.misbehaviour import faults
from sandbox.misbehaviour.faults import Faults
from sandbox.model import catalog, tokens
from sandbox.model.catalog import Model
from sandbox.model.usage import report
from sandbox.state import State
from sandbox.store import params
from sandbox.store.params import Body
from sandbox.wire.numbers import whole_number

# model: (sizes, qualities, longest prompt); every other image model is of the GPT kind
_DALL_E: dict[str, tuple[tuple[str, ...], tuple[str, ...], int]] = {
    "dall-e-2": (("256x256", "512x512", "1024x1024"), ("standard",), 1000),
    "dall-e-3": (("1024x1024", "1792x1024", "1024x1792"), ("standard", "hd"), 4000),
}
_GPT_SIZES = ("1024x1024", "1024x1536", "1536x1024", "auto")
_GPT_QUALITIES = ("low", "medium", "high", "auto")
_GPT_PROMPT = 32_000
# Before this model only the sizes above exist.
_FREE_SIZES = ("gpt-image-2",)
_STEP, _MAX_WIDTH, _MAX_HEIGHT, _MAX_RATIO = 16, 3840, 2160, 3
_COMMON = frozenset({"model", "n", "prompt", "quality", "size", "user"})
_OF_GPT = frozenset(
    {
        *("background", "moderation", "output_compression", "output_format", "partial_images", "stream"),
        "input_fidelity",
    }
)
_OF_DALL_E = frozenset({"response_format", "style"})

# quality: output tokens of a square image, and of a tall or wide one
_OUTPUT_TOKENS = {"low": (272, 408), "medium": (1056, 1584), "high": (4160, 6240)}
_SQUARE = 1024 * 1024
_PARTIAL_TOKENS = 100
_INPUT_TOKENS = 323  # of an image that is edited
_FAITHFUL_TOKENS = 4160  # what high input fidelity adds


@dataclass(slots=True)
class ImageSettings:
    """What to make. `quality` is that of the answer, `as_url` wants links instead of base64."""

    model: Model
    prompt: str
    count: int
    width: int
    height: int
    quality: str
    transparent: bool
    form: str
    as_url: bool
    streamed: bool
    partial_images: int
    faithful: bool

    @property
    def is_gpt(self) -> bool:
        return self.model.id not in _DALL_E

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}"

    def shown(self) -> dict[str, str]:
        """What the answers of GPT models say of themselves."""
        return {
            "background": "transparent" if self.transparent else "opaque",
            "output_format": self.form,
            "quality": self.quality,
            "size": self.size,
        }


def read(state: State, body: Body, default_model: str, *, needs_prompt: bool = True) -> ImageSettings:
    """The settings of a request; raises ApiError 400 for what OpenAI would refuse."""
    name = params.string(body, "model") or default_model
    model = catalog.require(state, name, ("image",))
    dall_e = _DALL_E.get(model.id)
    params.known(body, _COMMON | (_OF_DALL_E if dall_e else _OF_GPT))
    sizes, qualities, longest = dall_e or (_GPT_SIZES, _GPT_QUALITIES, _GPT_PROMPT)
    count = params.integer(body, "n", 1, 10, 1) or 1
    if model.id == "dall-e-3" and count > 1:
        raise ApiError("You must provide n=1 for this model.", param="n", code="invalid_value")
    quality = params.choice(body, "quality", qualities, qualities[0] if dall_e else "auto")
    background = params.choice(body, "background", ("transparent", "opaque", "auto"), "auto")
    form = params.choice(body, "output_format", ("png", "jpeg", "webp"), "png")
    if background == "transparent" and form == "jpeg":
        raise ApiError("Transparent background is not supported for JPEG output format.", param="background")
    params.integer(body, "output_compression", 0, 100)
    params.choice(body, "style", ("vivid", "natural"), "vivid")
    params.choice(body, "moderation", ("low", "auto"), "auto")
    width, height = _measures(body, model, sizes)
    return ImageSettings(
        model=model,
        prompt=_prompt(body, longest) if needs_prompt else "",
        count=count,
        width=width,
        height=height,
        quality="high" if quality == "auto" else quality,
        transparent=background == "transparent",
        form=form,
        as_url=dall_e is not None and params.choice(body, "response_format", ("url", "b64_json"), "url") == "url",
        streamed=params.boolean(body, "stream"),
        partial_images=params.integer(body, "partial_images", 0, 3, 0) or 0,
        faithful=params.choice(body, "input_fidelity", ("high", "low"), "low") == "high",
    )


def _prompt(body: Body, longest: int) -> str:
    prompt = params.limited(body, "prompt", longest)
    if not prompt:
        raise missing_parameter("prompt")
    return faults.strip(prompt)


def _measures(body: Body, model: Model, sizes: tuple[str, ...]) -> tuple[int, int]:
    size = params.string(body, "size") or ("auto" if "auto" in sizes else "1024x1024")
    if size not in sizes and not (model.id >= _FREE_SIZES[0] and _is_free_size(size)):
        raise invalid_value("size", size, params.quoted(sizes))
    return pictures.measures(size)


def _is_free_size(size: str) -> bool:
    width, height = map(whole_number, size.partition("x")[::2])
    if width is None or height is None:
        return False
    longer, shorter = max(width, height), min(width, height)
    fits = longer <= _MAX_WIDTH and 0 < shorter <= _MAX_HEIGHT and longer <= shorter * _MAX_RATIO
    return fits and longer % _STEP == 0 and shorter % _STEP == 0


def check_refusal(wanted: Faults) -> None:
    """Raises ApiError 400 as OpenAI's safety system does, when the directive `refusal` asks for it."""
    if wanted.refusal:
        raise ApiError(
            "Your request was rejected by the safety system. If you believe this is an error, contact us at "
            "help.openai.com and include the request ID.",
            type="image_generation_user_error",
            code="moderation_blocked",
        )


def usage(settings: ImageSettings, sources: int, wanted: Faults) -> dict[str, Any] | None:
    """The `usage` of a GPT model's answer, `sources` being the images that were sent; None when unwanted."""
    if wanted.no_usage:
        return None
    text = tokens.count(settings.prompt)
    images = sources * (_INPUT_TOKENS + (_FAITHFUL_TOKENS if settings.faithful else 0))
    square, oblong = _OUTPUT_TOKENS[settings.quality]
    base = square if settings.width == settings.height else oblong
    standard = _SQUARE if settings.width == settings.height else _SQUARE * 3 // 2
    output = base * settings.width * settings.height // standard * settings.count
    if settings.streamed:
        output += _PARTIAL_TOKENS * settings.partial_images * settings.count
    parts = {"image_tokens": images, "text_tokens": text}
    made = wanted.usage.get("output_tokens", wanted.usage.get("completion_tokens", output))
    return report(None, output, wanted.usage, parts, {"image_tokens": made, "text_tokens": 0})
