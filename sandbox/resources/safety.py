"""`/v1/safety`, where every key has one alert and one case, and `/v1/content_provenance_checks`."""

from sandbox.errors import ApiError
from sandbox.store.objects import Shape
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

# What a file holds that was signed.
_SIGNED = b"c2pa"
_ALERT = {
    "id": "salert_sandbox",
    "object": "safety.alert",
    "error_type": "other",
    "model": "gpt-4o-mini",
    "reason": None,
    "detailed_explanation": None,
    "request_id": "req_sandbox",
    "request_paused": False,
    "response_id": "resp_sandbox",
}
_CASE = {
    "id": "scase_sandbox",
    "object": "safety.case",
    "entity_identifier": "user-1",
    "notice": {"type": "warning"},
    "reason": None,
}


def _only(kept: Shape, path: str) -> Route:
    """The route of the one object that there is."""

    async def retrieve(request: Request) -> Answer:
        if request.params["id"] != kept["id"]:
            raise ApiError(f"No object found with id '{request.params['id']}'.", status=404)
        return json_response({**kept, "created_at": request.app.state.created()})

    return Route("GET", path, retrieve)


async def check_provenance(request: Request) -> Answer:
    signed = _SIGNED in (await request.form()).require_file("file").read()
    found = {
        "type": "c2pa",
        "outcome": "detected" if signed else "not_detected",
        "validation_state": "trusted" if signed else "not_present",
        "generated_at": None,
        "issuer": "OpenAI" if signed else None,
        "model": None,
    }
    unseen = {"type": "synthid", "outcome": "not_detected", "generated_at": None, "model": None}
    now = request.app.state.created()
    return json_response({"object": "content_provenance_check", "created_at": now, "results": [found, unseen]})


ROUTES = (
    _only(_ALERT, "/v1/safety/alerts/{id}"),
    _only(_CASE, "/v1/safety/cases/{id}"),
    Route("POST", "/v1/content_provenance_checks", check_provenance, streamed=True),
)
