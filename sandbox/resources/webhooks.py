"""`/v1/webhook_endpoints` and `/v1/webhook_event_types`. Nothing is delivered; a test always succeeds."""

from sandbox.errors import invalid_value
from sandbox.store import params
from sandbox.store.collection import Collection
from sandbox.store.objects import Shape
from sandbox.store.params import Body, quoted
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

# of: what may happen to it
_EVENTS = {
    "batch": ("completed", "failed", "expired", "cancelled"),
    "response": ("completed", "failed", "cancelled", "incomplete"),
    "eval.run": ("succeeded", "failed", "canceled"),
    "fine_tuning.job": ("succeeded", "failed", "cancelled"),
    "video": ("completed", "failed"),
}
EVENT_TYPES = tuple(f"{name}.{word}" for name, words in _EVENTS.items() for word in words)


def _check(request: Request, shape: Shape, body: Body) -> None:
    for name in shape["event_types"]:
        _known(name, "event_types")


def _known(name: str, param: str) -> str:
    if name not in EVENT_TYPES:
        raise invalid_value(param, name, quoted(EVENT_TYPES))
    return name


ENDPOINTS = Collection(
    "/v1/webhook_endpoints",
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
    return _with_secret(request, ENDPOINTS.new(request, request.json()).shape)


async def rotate_secret(request: Request) -> Answer:
    return _with_secret(request, ENDPOINTS.find(request).shape)


async def test(request: Request) -> Answer:
    endpoint, wanted = ENDPOINTS.find(request), params.required(request.json(), "event_type")
    sent = {"object": "webhook_endpoint.test", "event_type": _known(wanted, "event_type")}
    return json_response({**sent, "status_code": 200, "success": True, "webhook_endpoint_id": endpoint.id})


async def list_event_types(request: Request) -> Answer:
    return json_response({"object": "list", "data": EVENT_TYPES})


ROUTES = (
    *ENDPOINTS.routes("list retrieve update delete", create=create, rotate_secret=rotate_secret, test=test),
    Route("GET", "/v1/webhook_event_types", list_event_types),
)
