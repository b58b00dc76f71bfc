"""`/v1/images`: images made from prompts and from other images, and the links to them."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

from sandbox.errors import ApiError
from sandbox.media import pictures
from sandbox.media.png import Picture
from sandbox.model import image_settings
from sandbox.model.image_settings import ImageSettings
from sandbox.model.image_sources import check_for_dall_e, read_mask, referenced, uploaded
from sandbox.state import Store
from sandbox.store.params import Body
from sandbox.store.upload_limits import read_form
from sandbox.wire.forms import Form
from sandbox.wire.messages import JSON, Answer, Request, Response, Stream, json_response, named_event
from sandbox.wire.numbers import whole_number
from sandbox.wire.routing import Route

# Draws variant N; the stage is that of a sketch, 0 for the finished image.
Draw = Callable[[int, int], Picture]

LINK_LIFETIME = 3600  # seconds
_NUMBERS = ("n", "partial_images", "output_compression")


async def generate(request: Request) -> Answer:
    settings = image_settings.read(request.app.state, request.json(), "dall-e-2")
    return await _answer(request, settings, _drawer(settings), "image_generation", sources=0)


def _drawer(settings: ImageSettings) -> Draw:
    def draw(variant: int, stage: int) -> Picture:
        return pictures.drawn(
            settings.prompt,
            settings.width,
            settings.height,
            variant=variant,
            stage=stage,
            transparent=settings.transparent,
        )

    return draw


async def edit(request: Request) -> Answer:
    """A multipart form, or JSON that names images by URL or file id."""
    if request.header("content-type").startswith(JSON.decode()):
        request.body = b"".join([piece async for piece in request.stream()])
        body = request.json()
        files, mask = referenced(request, body)
    else:
        form = await read_form(request)
        body = _form_body(form)
        files, mask = uploaded(request, form)
    request.read_directives(str(body.get("prompt", "")))
    settings = image_settings.read(request.app.state, body, "gpt-image-1.5")
    if not settings.is_gpt:
        check_for_dall_e(files)
    sources = [await asyncio.to_thread(pictures.from_file, file) for file in files]
    stencil = await read_mask(mask, files[0]) if mask is not None else None

    def draw(variant: int, stage: int) -> Picture:
        made = pictures.edited(sources, settings.prompt, settings.width, settings.height, mask=stencil, variant=variant)
        return made if stage == 0 else pictures.coarse(made, stage)

    return await _answer(request, settings, draw, "image_edit", sources=len(sources))


async def vary(request: Request) -> Answer:
    form = await read_form(request)
    body = _form_body(form)
    files, _ = uploaded(request, form)
    settings = image_settings.read(request.app.state, body, "dall-e-2", needs_prompt=False)
    if settings.model.id != "dall-e-2":
        raise ApiError("The model does not support image variations. Use 'dall-e-2' instead.", param="model")
    check_for_dall_e(files)
    source = await asyncio.to_thread(pictures.from_file, files[0])

    def draw(variant: int, stage: int) -> Picture:
        return pictures.varied(source, settings.width, settings.height, variant)

    return await _answer(request, settings, draw, "", sources=1)


def _form_body(form: Form) -> Body:
    """The form's fields with the types that JSON would give them; anything but a number stays a string, to be
    refused.
    """
    body: Body = {}
    for name, values in form.fields.items():
        text = values[0]
        number = whole_number(text) if name in _NUMBERS else None
        if number is not None:
            body[name] = number
        elif name == "stream" and text in ("true", "false"):
            body[name] = text == "true"
        else:
            body[name] = text
    return body


async def _answer(request: Request, settings: ImageSettings, draw: Draw, event: str, *, sources: int) -> Answer:
    image_settings.check_refusal(request.faults)
    usage = image_settings.usage(settings, sources, request.faults) if settings.is_gpt else None
    if settings.streamed:
        return Stream(_events(request, settings, draw, event, usage))
    data = []
    for variant in range(settings.count):
        made = await asyncio.to_thread(_file, settings, draw, variant, 0)
        data.append(_item(request, settings, made))
    body: dict[str, Any] = {"created": request.app.state.created(), "data": data}
    if settings.is_gpt:
        body |= settings.shown()
        if usage is not None:
            body["usage"] = usage
    return json_response(body)


def _file(settings: ImageSettings, draw: Draw, variant: int, stage: int) -> bytes:
    return pictures.encoded(draw(variant, stage), settings.form, alpha=settings.transparent)


def _item(request: Request, settings: ImageSettings, made: bytes) -> dict[str, str]:
    as_text = base64.b64encode(made).decode
    item = {"url": _link(request, made)} if settings.as_url else {"b64_json": as_text()}
    if settings.model.id == "dall-e-3":
        item["revised_prompt"] = f"{settings.prompt} In bright tiles."
    return item


async def _events(
    request: Request, settings: ImageSettings, draw: Draw, name: str, usage: dict[str, Any] | None
) -> AsyncIterator[bytes]:
    for variant in range(settings.count):
        for stage in [*range(1, settings.partial_images + 1), 0]:
            made = await asyncio.to_thread(_file, settings, draw, variant, stage)
            event: dict[str, Any] = {
                "type": f"{name}.partial_image" if stage else f"{name}.completed",
                "b64_json": base64.b64encode(made).decode(),
                "created_at": request.app.state.created(),
                **settings.shown(),
            }
            if stage:
                event["partial_image_index"] = stage - 1
            elif usage is not None:
                event["usage"] = usage
            yield named_event(event)


def _link(request: Request, made: bytes) -> str:
    """An address at the sandbox itself, as the client reached it."""
    state = request.app.state
    name = state.new_id("img-", 32)
    _links(request).put(name, (made, state.now() + LINK_LIFETIME), len(made))
    return f"http://{request.header('host') or 'localhost'}/sandbox/images/{name}.png"


def _links(request: Request) -> Store[str, tuple[bytes, float]]:
    """The images and when their links expire, by name; anyone may follow a link."""
    return request.app.state.store("image links")


async def follow_link(request: Request) -> Answer:
    found = _links(request).get(request.params["name"].removesuffix(".png"))
    if found is None or found[1] < request.app.state.now():
        raise ApiError("The image does not exist, or its link has expired.", status=404)
    return Response(found[0], content_type=b"image/png")


ROUTES = (
    Route("POST", "/v1/images/generations", generate),
    Route("POST", "/v1/images/edits", edit, streamed=True),
    Route("POST", "/v1/images/variations", vary, streamed=True),
    Route("GET", "/sandbox/images/{name}", follow_link, authenticated=False),
)
