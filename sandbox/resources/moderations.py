"""`/v1/moderations`: flags by keywords, so that a test knows what it will get."""

import re
import zlib
from typing import Any

from sandbox.errors import ApiError, invalid_type, missing_parameter
from sandbox.model import catalog
from sandbox.model.prompt import data_url
from sandbox.store import params
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

DEFAULT_MODEL = "omni-moderation-latest"

# category: words that flag it
KEYWORDS: dict[str, tuple[str, ...]] = {
    "harassment": ("idiot", "loser", "bully"),
    "harassment/threatening": ("i will hurt you", "i will find you"),
    "hate": ("hateful", "subhuman"),
    "hate/threatening": ("exterminate them",),
    "illicit": ("shoplift", "counterfeit", "buy drugs"),
    "illicit/violent": ("build a bomb", "make a bomb"),
    "self-harm": ("self-harm", "hurt myself", "kill myself"),
    "self-harm/intent": ("kill myself", "hurt myself"),
    "self-harm/instructions": ("how to self-harm",),
    "sexual": ("porn", "explicit sex"),
    "sexual/minors": ("sexual minors",),
    "violence": ("kill", "murder", "stab", "shoot", "bomb"),
    "violence/graphic": ("gore", "dismember"),
}
OF_IMAGES = frozenset(
    {"self-harm", "self-harm/intent", "self-harm/instructions", "sexual", "violence", "violence/graphic"}
)
_OMNI_ONLY = frozenset({"illicit", "illicit/violent"})
_PATTERNS = {
    category: re.compile(r"\b(?:" + "|".join(map(re.escape, words)) + r")\b", re.IGNORECASE)
    for category, words in KEYWORDS.items()
}


async def create(request: Request) -> Answer:
    body = request.json()
    name = params.string(body, "model") or DEFAULT_MODEL
    model = catalog.require(request.app.state, name, ("moderation",))
    omni = model.id.startswith("omni")
    results = [_result(texts, images, omni) for texts, images in read_inputs(body, omni)]
    return json_response({"id": request.app.state.new_id("modr-", 29), "model": model.shown, "results": results})


def read_inputs(body: Body, omni: bool) -> list[tuple[list[str], list[str]]]:
    """The (texts, image URLs) of each result: a result for each text, or one for a list of parts."""
    value = params.required(body, "input")
    if isinstance(value, str):
        return [([value], [])]
    if not isinstance(value, list) or not value:
        raise invalid_type("input", "one of a string, array of strings, or array of objects", value)
    if all(isinstance(item, str) for item in value):
        return [([item], []) for item in value]
    if not omni:
        raise ApiError("This model only supports text inputs.", param="input")
    texts: list[str] = []
    images: list[str] = []
    for index, part in enumerate(value):
        _read_part(part, f"input[{index}]", texts, images)
    return [(texts, images)]


def _read_part(part: Any, where: str, texts: list[str], images: list[str]) -> None:
    if params.kind(part, where, ("text", "image_url")) == "text":
        texts.append(params.string(part, "text"))
        return
    url = params.mapping(part, "image_url").get("url")
    if not isinstance(url, str):
        raise missing_parameter(f"{where}.image_url.url")
    if url.startswith("data:"):
        data_url(url, f"{where}.image_url.url")
    images.append(url)


def _result(texts: list[str], images: list[str], omni: bool) -> dict[str, Any]:
    """An image is judged by its URL, e.g. `https://example.com/gore.png`."""
    said = "\n".join(texts)
    shown = re.sub(r"[_%+/.-]", " ", " ".join(url for url in images if not url.startswith("data:")))
    categories: dict[str, bool | None] = {}
    scores: dict[str, float] = {}
    applied: dict[str, list[str]] = {}
    for category, pattern in _PATTERNS.items():
        supported = omni or category not in _OMNI_ONLY
        seen_by = ["text"] if texts and omni else []
        hit = supported and pattern.search(said) is not None
        if images and category in OF_IMAGES:
            seen_by.append("image")
            hit = hit or pattern.search(shown) is not None
        categories[category] = hit if supported else None
        noise = zlib.crc32(f"{category}\0{said}\0{shown}".encode("utf-8", "surrogatepass")) / 2**32
        scores[category] = (0.9 + noise / 12 if hit else noise / 5000) if supported else 0.0
        applied[category] = seen_by
    return {
        "flagged": any(categories.values()),
        "categories": categories,
        "category_scores": scores,
        "category_applied_input_types": applied,
    }


ROUTES = (Route("POST", "/v1/moderations", create),)
