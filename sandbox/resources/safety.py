"""`/v1/safety`, where every key has one alert and one case, and `/v1/content_provenance_checks`."""

from sandbox.errors import ApiError
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

ALERT, CASE = "salert_sandbox", "scase_sandbox"
# What a file holds that was signed.
_SIGNED = b"c2pa"


async def retrieve_alert(request: Request) -> Answer:
    _check(request, ALERT)
    return json_response(
        {
            "id": ALERT,
            "object": "safety.alert",
            "created_at": request.app.state.created(),
            "error_type": "other",
            "model": "gpt-4o-mini",
            "reason": None,
            "detailed_explanation": None,
            "request_id": "req_sandbox",
            "request_paused": False,
            "response_id": "resp_sandbox",
        }
    )


async def retrieve_case(request: Request) -> Answer:
    _check(request, CASE)
    return json_response(
        {
            "id": CASE,
            "object": "safety.case",
            "created_at": request.app.state.created(),
            "entity_identifier": "user-1",
            "notice": {"type": "warning"},
            "reason": None,
        }
    )


def _check(request: Request, known: str) -> None:
    if request.params["id"] != known:
        raise ApiError(f"No object found with id '{request.params['id']}'.", status=404)


async def check_provenance(request: Request) -> Answer:
    form = await request.form()
    upload = form.require_file("file")
    upload.file.seek(0)
    signed = _SIGNED in upload.file.read()
    found = {
        "type": "c2pa",
        "outcome": "detected" if signed else "not_detected",
        "validation_state": "trusted" if signed else "not_present",
        "generated_at": None,
        "issuer": "OpenAI" if signed else None,
        "model": None,
    }
    unseen = {"type": "synthid", "outcome": "not_detected", "generated_at": None, "model": None}
    return json_response(
        {
            "object": "content_provenance_check",
            "created_at": request.app.state.created(),
            "results": [found, unseen],
        }
    )


ROUTES = (
    Route("GET", "/v1/safety/alerts/{id}", retrieve_alert),
    Route("GET", "/v1/safety/cases/{id}", retrieve_case),
    Route("POST", "/v1/content_provenance_checks", check_provenance, streamed=True),
)
