"""`/v1/fine_tuning/alpha/graders`: trying a grader out."""

from typing import Any

from sandbox.jobs import grading
from sandbox.store import params
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

_ERRORS = (
    "formula_parse_error",
    "sample_parse_error",
    "truncated_observation_error",
    "unresponsive_reward_error",
    "invalid_variable_error",
    "other_error",
    "python_grader_server_error",
    "python_grader_runtime_error",
    "model_grader_server_error",
    "model_grader_refusal_error",
    "model_grader_parse_error",
)
_DETAILS = (
    "python_grader_server_error_type",
    "python_grader_runtime_error_details",
    "model_grader_server_error_details",
)


async def run(request: Request) -> Answer:
    body = request.json()
    params.required(body, "grader")
    params.required(body, "model_sample")
    grader, sample, item = body["grader"], params.string(body, "model_sample"), params.mapping(body, "item")
    grading.check(grader)
    parts: dict[str, Any] = {}
    if grader["type"] == "multi":
        parts = {name: grading.score(one, sample, item) for name, one in grading.inner_graders(grader).items()}
    metadata = {
        "name": grader["name"],
        "type": grader["type"],
        "errors": {**dict.fromkeys(_ERRORS, False), **dict.fromkeys(_DETAILS)},
        "execution_time": 0.001,
        "scores": parts,
        "token_usage": None,
        "sampled_model_name": None,
    }
    return json_response(
        {
            "reward": grading.score(grader, sample, item),
            "metadata": metadata,
            "sub_rewards": parts,
            "model_grader_token_usage_per_model": {},
        }
    )


async def validate(request: Request) -> Answer:
    body = request.json()
    grading.check(params.required(body, "grader"))
    return json_response({"grader": body["grader"]})


ROUTES = (
    Route("POST", "/v1/fine_tuning/alpha/graders/run", run),
    Route("POST", "/v1/fine_tuning/alpha/graders/validate", validate),
)
