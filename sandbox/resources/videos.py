"""`/v1/videos`: jobs that end in a film. The prompt's directive `fail` or `refusal` makes one fail."""

from sandbox.errors import ApiError, invalid_value, missing_parameter
from sandbox.media import pictures
from sandbox.media.film import film
from sandbox.misbehaviour import faults
from sandbox.model import catalog
from sandbox.resources.files import download
from sandbox.store import params, stored_files
from sandbox.store.collection import Collection
from sandbox.store.objects import POLL_SOON, Item, Shape, body_or_form
from sandbox.store.params import Body, quoted
from sandbox.wire.forms import Form
from sandbox.wire.messages import Answer, Request, encode
from sandbox.wire.routing import Route

SIZES = ("720x1280", "1280x720", "1024x1792", "1792x1024")
SECONDS = ("4", "8", "12")
LIFETIME = 3600  # seconds
MAX_PROMPT = 32_000
QUEUED = 0.2  # the part of a job's time that it waits
# variant: its filename
VARIANTS = {"video": "video.mp4", "thumbnail": "thumbnail.webp", "spritesheet": "spritesheet.webp"}
PICTURE = 128  # the width and height of those that are images
_BLOCKED = {"code": "moderation_blocked", "message": "Your request was blocked by our moderation system."}


def _shown(request: Request, video: Item) -> Shape:
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
        shape.update(status="failed", error=_BLOCKED)
    else:
        now = state.created()
        shape.update(status="completed", progress=100, completed_at=now, expires_at=now + LIFETIME)
    return shape


VIDEOS = Collection(
    "/v1/videos",
    "video_",
    "video",
    digits=48,
    fixed={"status": "queued", "progress": 0, **dict.fromkeys(("completed_at", "expires_at", "error"))},
    show=_shown,
    headers=POLL_SOON,
)
CHARACTERS = Collection("/v1/videos/characters", "char_", "character", digits=32, fields={"name": ""})


async def create(request: Request) -> Answer:
    body, _ = await body_or_form(request)
    model = catalog.require(request.app.state, params.string(body, "model", "sora-2"), ("video",)).id
    size, seconds = params.choice(body, "size", SIZES, "720x1280"), params.choice(body, "seconds", SECONDS, "4")
    return _start(request, body, {"model": model, "size": size, "seconds": seconds})


async def remix(request: Request) -> Answer:
    before = VIDEOS.find(request)
    body, _ = await body_or_form(request)
    return _start(request, body, before.shape, remixed=before.id)


async def edit(request: Request) -> Answer:
    body, form = await body_or_form(request)
    return _start(request, body, _source(request, body, form))


async def extend(request: Request) -> Answer:
    body, form = await body_or_form(request)
    seconds = params.choice(body, "seconds", SECONDS, "4")
    return _start(request, body, {**_source(request, body, form), "seconds": seconds})


def _source(request: Request, body: Body, form: Form) -> Shape:
    """The video that `video` names, also as a form's `video[id]`; an uploaded one has the usual properties."""
    if form.uploads("video"):
        return {"model": "sora-2", "size": "720x1280", "seconds": "4"}
    video_id = form.get("video[id]") or params.mapping(body, "video").get("id")
    if not video_id:
        raise missing_parameter("video")
    shape: Shape = VIDEOS.find(request, video_id).shape
    return shape


def _start(request: Request, body: Body, like: Shape, remixed: str | None = None) -> Answer:
    prompt = params.required(body, "prompt")
    if not isinstance(prompt, str) or not 1 <= len(prompt) <= MAX_PROMPT:
        raise ApiError(f"Invalid 'prompt': expected a string of 1 to {MAX_PROMPT} characters.", param="prompt")
    wanted = faults.from_body(encode({"prompt": prompt}))
    more = {name: like[name] for name in ("model", "size", "seconds")}
    inner = (request.app.state.now(), wanted.fail or wanted.refusal)
    video = VIDEOS.new(request, {}, inner, prompt=faults.strip(prompt), remixed_from_video_id=remixed, **more)
    return VIDEOS.answer(request, video)


async def content(request: Request) -> Answer:
    shape = VIDEOS.shown(request, VIDEOS.find(request))
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
    if not form.get("name"):
        raise missing_parameter("name")
    return CHARACTERS.answer(request, CHARACTERS.new(request, {"name": form.get("name")}))


ROUTES = (
    *CHARACTERS.routes("retrieve", streamed=("create",), create=create_character),
    Route("POST", "/v1/videos/edits", edit, streamed=True),
    Route("POST", "/v1/videos/extensions", extend, streamed=True),
    *VIDEOS.routes(
        "list retrieve delete", streamed=("create", "remix"), create=create, remix=remix, get_content=content
    ),
)
