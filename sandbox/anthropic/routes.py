"""`/v1/messages`, `/v1/messages/count_tokens` and `/v1/models`."""

from sandbox.anthropic import caching, message, models, reports
from sandbox.anthropic.fields import get
from sandbox.anthropic.reading import read
from sandbox.anthropic.service import error_event
from sandbox.model.generation import generate
from sandbox.wire.messages import Answer, Request, Stream, endless_body, json_response
from sandbox.wire.routing import Route

NOT_JSON = "The request body is not valid JSON"


async def create(request: Request) -> Answer:
    body = request.json(NOT_JSON)
    asked = read(body)
    state, faults = request.app.state, request.faults
    output = generate(asked.prompt, asked.settings, faults)
    cached = caching.use(state, asked.model.id, asked.blocks)
    used = {} if faults.no_usage else message.usage(asked, output, cached, faults)
    message_id = state.new_id("msg_")
    if get(body, "stream", bool):
        return Stream(message.events(asked, output, message_id, used, state.new_id), error=error_event)
    if faults.endless:
        return endless_body()
    return json_response(message.whole(asked, output, message_id, used, state.new_id))


async def count_tokens(request: Request) -> Answer:
    asked = read(request.json(NOT_JSON), counting=True)
    return json_response({"input_tokens": asked.prompt.tokens})


ROUTES = (
    Route("POST", "/v1/messages", create),
    Route("POST", "/v1/messages/count_tokens", count_tokens),
    *models.ROUTES,
    *reports.ROUTES,
)
