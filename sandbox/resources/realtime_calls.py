"""`/v1/realtime/calls`: calls over WebRTC, and incoming ones over SIP. Every `rtc_` id that is new is an incoming
call.
"""

from typing import Any

import msgspec

from sandbox.errors import ApiError, invalid_type, missing_parameter
from sandbox.realtime import calls
from sandbox.wire.messages import Answer, Request, Response
from sandbox.wire.routing import Route

SDP = "application/sdp"
_object = msgspec.json.Decoder(dict[str, Any])


async def create(request: Request) -> Answer:
    """Answers an SDP offer, which came alone or in a form beside the session's settings."""
    if request.header("content-type").startswith(SDP):
        offer = b"".join([piece async for piece in request.stream()]).decode("utf-8", "replace")
        session: dict[str, Any] = {"model": request.query().get("model")}
    else:
        form = await request.form()
        files = form.uploads("sdp")
        offer = files[0].read().decode() if files else form.get("sdp")
        session = _session(form.get("session", "{}"))
    if not offer.startswith("v=0"):
        raise ApiError("Invalid SDP offer.", param="sdp", code="invalid_offer")
    call_id = request.app.state.new_id("rtc_", 32)
    calls.begin(request.app, call_id, session)
    location = f"/v1/realtime/calls/{call_id}".encode()
    return Response(calls.ANSWER.encode(), status=201, content_type=SDP.encode(), headers=[(b"location", location)])


async def accept(request: Request) -> Answer:
    session = request.json()
    if not session.get("model"):
        raise missing_parameter("model")
    calls.begin(request.app, request.params["call_id"], session)
    return Response(b"", content_type=b"text/plain")


async def reject(request: Request) -> Answer:
    status = request.json().get("status_code") if request.body else None
    if status is not None and not isinstance(status, int):
        raise invalid_type("status_code", "an integer", status)
    state, call_id = request.app.state, request.params["call_id"]
    if call_id in state.store(calls.CALLS) or call_id in state.store(calls.OVER):
        raise ApiError("The call was answered before.", status=409, code="call_already_answered")
    state.store(calls.OVER).put(call_id, True)
    return Response(b"", content_type=b"text/plain")


async def refer(request: Request) -> Answer:
    if not isinstance(request.json().get("target_uri"), str):
        raise missing_parameter("target_uri")
    await calls.end(request.app.state, request.params["call_id"])
    return Response(b"", content_type=b"text/plain")


async def hangup(request: Request) -> Answer:
    await calls.end(request.app.state, request.params["call_id"])
    return Response(b"", content_type=b"text/plain")


def _session(text: str) -> dict[str, Any]:
    try:
        return _object.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ApiError("Invalid type for 'session': expected an object.", param="session") from error


ROUTES = (
    Route("POST", "/v1/realtime/calls", create, streamed=True),
    Route("POST", "/v1/realtime/calls/{call_id}/accept", accept),
    Route("POST", "/v1/realtime/calls/{call_id}/reject", reject),
    Route("POST", "/v1/realtime/calls/{call_id}/refer", refer),
    Route("POST", "/v1/realtime/calls/{call_id}/hangup", hangup),
)
