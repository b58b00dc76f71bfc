"""`/v1/webhook_endpoints` and `/v1/webhook_event_types`. Nothing is delivered; a test always succeeds."""

from sandbox.errors import invalid_value
from sandbox.store import params
from sandbox.store.params import Body, quoted
from sandbox.store.plain_resources import Kind, Shape, item, new, routes
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

EVENT_TYPES = (
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "response.completed",
    "response.failed",
    "response.cancelled",
    "response.incomplete",
    "eval.run.succeeded",
    "eval.run.failed",
    "eval.run.canceled",
    "fine_tuning.job.succeeded",
    "fine_tuning.job.failed",
    "fine_tuning.job.cancelled",
    "video.completed",
    "video.failed",
)


def _check(request: Request, shape: Shape, body: Body) -> None:
    for name in shape["event_types"]:
        _known(name, "event_types")


def _known(name: str, param: str) -> str:
    if name not in EVENT_TYPES:
        raise invalid_value(param, name, quoted(EVENT_TYPES))
    return name


ENDPOINT = Kind(
    "/v1/webhook_endpoints",
    "webhook_endpoint_id",
    "we_",
    "webhook_endpoint",
    required=("event_types", "name", "url"),
    fields={"event_types": [], "name": "", "url": ""},
    fixed={"signing_secret_hint": None},
    times=("created_at", "updated_at"),
    complete=_check,
)


def _with_secret(request: Request, shape: Shape) -> Answer:
    secret = request.app.state.new_id("whsec_", 32)
    shape["signing_secret_hint"] = secret[-4:]
    return json_response({**shape, "signing_secret": secret})


async def create(request: Request) -> Answer:
    return _with_secret(request, new(request, ENDPOINT, request.json()).shape)


async def rotate_secret(request: Request) -> Answer:
    return _with_secret(request, item(request, ENDPOINT).shape)


async def test(request: Request) -> Answer:
    endpoint, wanted = item(request, ENDPOINT), params.required(request.json(), "event_type")
    return json_response(
        {
            "object": "webhook_endpoint.test",
            "event_type": _known(wanted, "event_type"),
            "status_code": 200,
            "success": True,
            "webhook_endpoint_id": endpoint.id,
        }
    )


async def list_event_types(request: Request) -> Answer:
    return json_response({"object": "list", "data": EVENT_TYPES})


ROUTES = (
    Route("POST", ENDPOINT.path, create),
    *routes(ENDPOINT, "list retrieve update delete"),
    Route("POST", ENDPOINT.item_path + "/rotate_secret", rotate_secret),
    Route("POST", ENDPOINT.item_path + "/test", test),
    Route("GET", "/v1/webhook_event_types", list_event_types),
)
