"""`/v1/videos`: jobs that end in a film. The prompt's directive `fail` or `refusal` makes one fail."""

from typing import Any

from sandbox.errors import ApiError, invalid_value, missing_parameter
from sandbox.media import pictures
from sandbox.media.film import film
from sandbox.misbehaviour import faults
from sandbox.model import catalog
from sandbox.resources.files import download
from sandbox.store import params, stored_files
from sandbox.store.objects import POLL_SOON, Item, add, body_or_form, find, items, page, remove
from sandbox.store.params import Body, quoted
from sandbox.wire.forms import Form
from sandbox.wire.messages import Answer, Request, encode, json_response
from sandbox.wire.routing import Route

STORE = "videos"
CHARACTERS = "video-characters"
SIZES = ("720x1280", "1280x720", "1024x1792", "1792x1024")
SECONDS = ("4", "8", "12")
LIFETIME = 3600  # seconds
MAX_PROMPT = 32_000
QUEUED = 0.2  # the part of a job's time that it waits
# variant: its filename
VARIANTS = {"video": "video.mp4", "thumbnail": "thumbnail.webp", "spritesheet": "spritesheet.webp"}
PICTURE = 128  # the width and height of those that are pictures


async def create(request: Request) -> Answer:
    body, _ = await body_or_form(request)
    model = catalog.require(request.app.state, params.string(body, "model", "sora-2"), ("video",)).id
    seconds = params.choice(body, "seconds", SECONDS, "4")
    return _start(request, body, model, params.choice(body, "size", SIZES, "720x1280"), seconds)


async def remix(request: Request) -> Answer:
    before = _video(request).shape
    body, _ = await body_or_form(request)
    return _start(request, body, before["model"], before["size"], before["seconds"], remixed=before["id"])


async def edit(request: Request) -> Answer:
    body, form = await body_or_form(request)
    before = _source(request, body, form)
    return _start(request, body, before["model"], before["size"], before["seconds"])


async def extend(request: Request) -> Answer:
    body, form = await body_or_form(request)
    before = _source(request, body, form)
    seconds = params.choice(body, "seconds", SECONDS, "4")
    return _start(request, body, before["model"], before["size"], seconds)


def _source(request: Request, body: Body, form: Form) -> dict[str, Any]:
    """The video that `video` names, also as a form's `video[id]`; an uploaded one has the usual properties."""
    if form.uploads("video"):
        return {"model": "sora-2", "size": "720x1280", "seconds": "4"}
    video_id = form.get("video[id]") or params.mapping(body, "video").get("id")
    if not video_id:
        raise missing_parameter("video")
    return find(items(request, STORE), video_id, "video").shape


def _start(request: Request, body: Body, model: str, size: str, seconds: str, remixed: str | None = None) -> Answer:
    prompt = params.required(body, "prompt")
    if not isinstance(prompt, str) or not 1 <= len(prompt) <= MAX_PROMPT:
        raise ApiError(f"Invalid 'prompt': expected a string of 1 to {MAX_PROMPT} characters.", param="prompt")
    state = request.app.state
    wanted = faults.from_body(encode({"prompt": prompt}))
    shape = {
        "id": state.new_id("video_", 48),
        "object": "video",
        "model": model,
        "status": "queued",
        "progress": 0,
        "created_at": state.created(),
        "completed_at": None,
        "expires_at": None,
        "prompt": faults.strip(prompt),
        "size": size,
        "seconds": seconds,
        "remixed_from_video_id": remixed,
        "error": None,
    }
    video = add(items(request, STORE), shape, (state.now(), wanted.fail or wanted.refusal))
    return json_response(_shown(request, video), headers=POLL_SOON)


def _shown(request: Request, video: Item) -> dict[str, Any]:
    """The video's object as of now."""
    state, shape = request.app.state, video.shape
    begun, fails = video.inner
    seconds = request.app.job_seconds
    past = (state.now() - begun) / seconds if seconds else 1.0
    if shape["status"] in ("completed", "failed") or past < QUEUED:
        return shape
    if past < 1:
        shape.update(status="in_progress", progress=int(past * 100))
    elif fails:
        error = {"code": "moderation_blocked", "message": "Your request was blocked by our moderation system."}
        shape.update(status="failed", error=error)
    else:
        now = state.created()
        shape.update(status="completed", progress=100, completed_at=now, expires_at=now + LIFETIME)
    return shape


async def list_videos(request: Request) -> Answer:
    return page(request, items(request, STORE), lambda video: _shown(request, video))


async def retrieve(request: Request) -> Answer:
    return json_response(_shown(request, _video(request)), headers=POLL_SOON)


async def delete(request: Request) -> Answer:
    return remove(items(request, STORE), _video(request), "video.deleted")


async def content(request: Request) -> Answer:
    video = _video(request)
    shape = _shown(request, video)
    if shape["status"] != "completed":
        raise ApiError(f"Video is not ready yet; its status is '{shape['status']}'.")
    variant = request.query().get("variant", "video")
    if variant not in VARIANTS:
        raise invalid_value("variant", variant, quoted(VARIANTS))
    if variant == "video":
        data = film(int(shape["seconds"]), encode(shape))
    else:
        data = pictures.encoded(pictures.drawn(shape["prompt"], PICTURE, PICTURE), "webp")
    return download(stored_files.loose(data, VARIANTS[variant]), request.header("range"))


async def create_character(request: Request) -> Answer:
    form = await request.form()
    form.require_file("video")
    name, state = form.get("name"), request.app.state
    if not name:
        raise missing_parameter("name")
    shape = {"id": state.new_id("char_", 32), "name": name, "created_at": state.created()}
    return json_response(add(items(request, CHARACTERS), shape).shape)


async def retrieve_character(request: Request) -> Answer:
    return json_response(find(items(request, CHARACTERS), request.params["character_id"], "character").shape)


def _video(request: Request) -> Item:
    return find(items(request, STORE), request.params["video_id"], "video")


ROUTES = (
    Route("POST", "/v1/videos", create, streamed=True),
    Route("GET", "/v1/videos", list_videos),
    Route("POST", "/v1/videos/characters", create_character, streamed=True),
    Route("POST", "/v1/videos/edits", edit, streamed=True),
    Route("POST", "/v1/videos/extensions", extend, streamed=True),
    Route("GET", "/v1/videos/characters/{character_id}", retrieve_character),
    Route("GET", "/v1/videos/{video_id}", retrieve),
    Route("DELETE", "/v1/videos/{video_id}", delete),
    Route("GET", "/v1/videos/{video_id}/content", content),
    Route("POST", "/v1/videos/{video_id}/remix", remix, streamed=True),
)
