"""Google's models, and what each of them takes."""

from typing import Any, NamedTuple

from sandbox.gemini.service import GoogleError, invalid
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.numbers import whole_number
from sandbox.wire.routing import Route

VERSIONS = ("v1beta", "v1")
GENERATE = ("generateContent", "countTokens")
CHAT = (*GENERATE, "createCachedContent", "batchGenerateContent")
EMBED = ("embedContent", "countTextTokens", "countTokens", "asyncBatchEmbedContent")


class Model(NamedTuple):
    """`levels` of thinking, or a `budget` between two bounds (`off` if 0 is allowed, too), are what a model takes;
    `signed` ones give calls ids and want their thought signatures back; `makes` is TEXT, IMAGE or AUDIO; `both` takes
    a response schema beside tools; `size` is that of a vector. Calls of signed ones have `ids`, but not on Vertex AI.
    """

    id: str
    name: str
    methods: tuple[str, ...] = CHAT
    inputs: int = 1_048_576
    outputs: int = 65_536
    levels: tuple[str, ...] = ()
    budget: tuple[int, int] | None = None
    off: bool = False
    signed: bool = False
    both: bool = False
    makes: str = "TEXT"
    size: int = 0
    ids: bool = True

    @property
    def thinks(self) -> bool:
        return bool(self.levels or self.budget)


_THREE: dict[str, Any] = {"levels": ("LOW", "MEDIUM", "HIGH"), "signed": True, "both": True}
_FLASH: dict[str, Any] = {**_THREE, "levels": ("MINIMAL", "LOW", "MEDIUM", "HIGH")}
_PICTURE: dict[str, Any] = {"methods": GENERATE, "inputs": 32_768, "outputs": 32_768, "makes": "IMAGE"}
_VOICE: dict[str, Any] = {"methods": GENERATE, "inputs": 8192, "outputs": 16_384, "makes": "AUDIO"}
_PREDICT: dict[str, Any] = {"methods": ("predict",), "inputs": 480, "outputs": 8192, "makes": "IMAGE"}

# What models take is Google's documentation of 2026.
MODELS: dict[str, Model] = {
    row.id: row
    for row in (
        Model("gemini-3.8-flash", "Gemini 3.8 Flash", **_THREE),
        Model("gemini-3.5-flash", "Gemini 3.5 Flash", **_FLASH),
        Model("gemini-3.1-pro-preview", "Gemini 3.1 Pro Preview", **_THREE),
        Model("gemini-3-pro-preview", "Gemini 3 Pro Preview", **{**_THREE, "levels": ("LOW", "HIGH")}),
        Model("gemini-3-flash-preview", "Gemini 3 Flash Preview", **_FLASH),
        Model("gemini-2.5-pro", "Gemini 2.5 Pro", budget=(128, 32_768)),
        Model("gemini-2.5-flash", "Gemini 2.5 Flash", budget=(1, 24_576), off=True),
        Model("gemini-2.5-flash-lite", "Gemini 2.5 Flash-Lite", budget=(512, 24_576), off=True),
        Model("gemini-2.0-flash", "Gemini 2.0 Flash", outputs=8192),
        Model("gemini-2.0-flash-001", "Gemini 2.0 Flash 001", outputs=8192),
        Model("gemini-3.1-flash-image", "Gemini 3.1 Flash Image", **_PICTURE),
        Model("gemini-2.5-flash-image", "Gemini 2.5 Flash Image", **_PICTURE),
        Model("gemini-3.1-flash-tts-preview", "Gemini 3.1 Flash TTS Preview", **_VOICE),
        Model("gemini-2.5-flash-preview-tts", "Gemini 2.5 Flash Preview TTS", **_VOICE),
        Model("gemini-2.5-pro-preview-tts", "Gemini 2.5 Pro Preview TTS", **_VOICE),
        Model("imagen-4.0-generate-001", "Imagen 4", **_PREDICT),
        Model("gemini-embedding-001", "Gemini Embedding 001", EMBED, 2048, 1, size=3072),
        Model("gemini-embedding-2", "Gemini Embedding 2", EMBED, 8192, 1, size=3072),
    )
}
DEFAULT_PAGE, MOST = 50, 1000


def find(name: str, method: str) -> Model:
    """The row of a name that has the method; raises ApiError 404 in Google's words."""
    model = MODELS.get(name)
    stream = {"streamGenerateContent": "generateContent", "batchEmbedContents": "embedContent"}.get(method, method)
    if model is None or (stream and stream not in model.methods):
        verb = f", or is not supported for {method}" if method else ""
        raise GoogleError(
            f"models/{name} is not found for API version v1beta{verb}. Call ListModels to see the list of available "
            "models and their supported methods.",
            status=404,
        )
    return model


def _shape(model: Model) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.name,
        "description": f"{model.name}, as the sandbox has it.",
        "inputTokenLimit": model.inputs,
        "outputTokenLimit": model.outputs,
        "supportedGenerationMethods": list(model.methods),
    }
    if model.methods == CHAT:
        shown |= {"temperature": 1, "topP": 0.95, "topK": 64, "maxTemperature": 2}
    return shown | ({"thinking": True} if model.thinks else {})


async def list_models(request: Request) -> Answer:
    query = request.query()
    size = whole_number(query.get("pageSize", query.get("page_size", str(DEFAULT_PAGE))))
    start = whole_number(query.get("pageToken", query.get("page_token", "")) or "0")
    if size is None or start is None:
        raise invalid("Page size and page token must be valid.")
    rows = list(MODELS.values())
    end = start + (min(size, MOST) or DEFAULT_PAGE)
    more = {"nextPageToken": str(end)} if end < len(rows) else {}
    return json_response({"models": [_shape(model) for model in rows[start:end]], **more})


async def retrieve(request: Request) -> Answer:
    return json_response(_shape(find(request.params["model"], "")))


ROUTES = tuple(
    row
    for version in VERSIONS
    for row in (
        Route("GET", f"/{version}/models", list_models),
        Route("GET", f"/{version}/models/{{model}}", retrieve),
    )
)
