"""The test's own window: what was received, counters, and the clock. Not part of OpenAI's API."""

from dataclasses import asdict

from sandbox.errors import ApiError
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route


async def list_requests(request: Request) -> Answer:
    """`{"recording": bool, "requests": [...]}`, oldest first; `?limit=N` for the last N, `?path=P` for one path."""
    recorder = request.app.recorder
    query = request.query()
    records = [record for record in recorder or () if query.get("path", record.path) == record.path]
    if "limit" in query:
        records = records[-int(query["limit"]) :]
    return json_response({"recording": recorder is not None, "requests": [record.as_dict() for record in records]})


async def clear_requests(request: Request) -> Answer:
    if request.app.recorder is not None:
        request.app.recorder.clear()
    return json_response({"cleared": True})


async def stats(request: Request) -> Answer:
    return json_response(asdict(request.app.stats))


async def advance_clock(request: Request) -> Answer:
    """`{"seconds": N}` moves the clock of the stateful resources forward; answers `{"now": ...}`."""
    seconds = request.json().get("seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise ApiError("Give the number of seconds to advance.", param="seconds")
    request.app.state.advance(seconds)
    return json_response({"now": request.app.state.now()})


ROUTES = (
    Route("GET", "/sandbox/requests", list_requests, authenticated=False),
    Route("DELETE", "/sandbox/requests", clear_requests, authenticated=False),
    Route("GET", "/sandbox/stats", stats, authenticated=False),
    Route("POST", "/sandbox/clock", advance_clock, authenticated=False),
)
