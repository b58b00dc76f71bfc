"""`/v1/decisions`: questions about an input, answered by rule: the first choice, the middle level, even odds."""

from typing import Any

from sandbox.errors import invalid_type, invalid_value
from sandbox.model import catalog
from sandbox.model.usage import report
from sandbox.store import params
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, encode, json_response
from sandbox.wire.routing import Route

_MOST_QUESTIONS = 400


async def create(request: Request) -> Answer:
    body = request.json()
    model = catalog.require(request.app.state, params.model_name(body), catalog.CHAT_KINDS)
    said, questions = params.required(body, "input"), params.required(body, "questions")
    if not isinstance(questions, list) or not 1 <= len(questions) <= _MOST_QUESTIONS:
        raise invalid_type("questions", f"an array of 1 to {_MOST_QUESTIONS} objects", questions)
    answers = [_answer(question) for question in questions]
    count = len(encode([said, questions])) // 4
    read = {"cache_write_tokens": 0, "cached_tokens": 0}
    usage = report(count, len(answers), {}, read, {"reasoning_tokens": 0})
    return json_response({"answers": answers, "model": model.id, "usage": usage})


def _answer(question: Body) -> dict[str, Any]:
    kind = question.get("type")
    named = {"type": kind, "name": question.get("name")}
    if kind == "predicate":
        return {**named, "probability": 0.5}
    if kind == "choice":
        values = [each["value"] for each in params.required(question, "choices")]
        odds = [{"value": value, "probability": 1 / len(values)} for value in values]
        return {**named, "choice": values[0], "confidence": 1 / len(values), "probabilities": odds}
    if kind == "score":
        labels = [each["label"] for each in params.required(question, "levels")]
        odds = [{"label": label, "value": place, "probability": 1 / len(labels)} for place, label in enumerate(labels)]
        return {**named, "score": (len(labels) - 1) / 2, "confidence": 0.5, "probabilities": odds}
    raise invalid_value("type", kind, "'predicate', 'choice', and 'score'")


ROUTES = (Route("POST", "/v1/decisions", create),)
