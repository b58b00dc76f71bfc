"""The conversation of a request: its turns, and that calls, results and signatures are where they have to be."""

import base64
import hashlib
from typing import Any

from sandbox.gemini.fields import Fields, closed, items
from sandbox.gemini.models import Model
from sandbox.gemini.parts import STANDARD, Reader
from sandbox.gemini.service import invalid
from sandbox.model.prompt import Prompt, begin_turn, end_turn

ROLES = ("user", "model", "function")
SIGNED = b"sandbox-thought::"
# What Google documents for calls that another model made.
SKIPS = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")


def signature(text: str) -> str:
    """The thought signature of a part that says `text`, or calls the function of that name."""
    return base64.b64encode(
        SIGNED + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=22).digest()
    ).decode()


def read(body: Fields, model: Model) -> tuple[Prompt, Reader]:
    """Reads `systemInstruction` and `contents`; raises ApiError 400 for what Google would refuse."""
    prompt = Prompt()
    reader = Reader(prompt)
    texts = _system(body, reader)
    contents = items(body, "contents")
    if not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified")
    turns = []
    for index, content in enumerate(contents):
        role, parts = _content(content, f"contents[{index}]")
        kinds = _turn(role, parts, reader, f"contents[{index}]", texts)
        turns.append((role, kinds, parts))
    _check_calls([(role, kinds) for role, kinds, _ in turns])
    if model.signed:
        _check_signatures(turns)
    prompt.all_text = "\n".join(texts)
    prompt.tokens = sum(reader.counts.values())
    return prompt, reader


def _system(body: Fields, reader: Reader) -> list[str]:
    given = body.get("systemInstruction")
    if given is None:
        return []
    _, parts = _content(given, "system_instruction")
    found = [reader.read(part, f"system_instruction.parts[{index}]") for index, part in enumerate(parts)]
    if any(kind not in ("text", "other") for kind, _ in found):
        raise invalid("System instruction must contain only text parts.")
    return [text for _, text in found]


def _content(content: Any, where: str) -> tuple[str, list[Any]]:
    fields = closed(content, ("role", "parts"), where)
    role = fields.get("role") or "user"
    if role not in ROLES and where != "system_instruction":
        raise invalid("Please use a valid role: user, model.")
    parts = items(fields, "parts")
    if not parts:
        raise invalid(f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.")
    return role, parts


def _turn(role: str, parts: list[Any], reader: Reader, where: str, texts: list[str]) -> list[str]:
    """Reads a turn and returns the kinds of its parts. The prompt's question is the user's last text."""
    prompt = reader.prompt
    answers = any(isinstance(part, dict) and {"functionResponse", "function_response"} & part.keys() for part in parts)
    begin_turn(prompt, user=role != "model", answers=answers)
    read = [reader.read(part, f"{where}.parts[{index}]") for index, part in enumerate(parts)]
    said = "\n".join(text for kind, text in read if kind == "text")
    texts.append(said)
    end_turn(prompt, said, user=role != "model", answers=answers)
    return [kind for kind, _ in read]


def _check_calls(turns: list[tuple[str, list[str]]]) -> None:
    """Calls come after a user's turn or results, and are all answered in the next turn."""
    for index, (role, kinds) in enumerate(turns):
        calls = kinds.count("call") if role == "model" else 0
        if calls and index == 0:
            raise invalid(
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn."
            )
        results = kinds.count("result")
        before = turns[index - 1][1].count("call") if index and turns[index - 1][0] == "model" else 0
        if results != before and (results or before):
            if not before:
                raise invalid("Please ensure that function response turn comes immediately after a function call turn.")
            raise invalid(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        if calls and index + 1 == len(turns):
            raise invalid("Please ensure that the last turn is a user turn or a function response turn.")


def _check_signatures(turns: list[tuple[str, list[str], list[Any]]]) -> None:
    """The first call of every step since the user last spoke needs its signature."""
    for index in range(len(turns) - 1, -1, -1):
        role, kinds, parts = turns[index]
        if role != "model" and "result" not in kinds:
            return
        if role != "model" or "call" not in kinds:
            continue
        part = parts[kinds.index("call")]
        call = part.get("functionCall") or part.get("function_call")
        given = part.get("thoughtSignature") or part.get("thought_signature")
        if not given:
            raise invalid(
                f"Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                f"work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                f"data, function call `default_api:{call.get('name')}` , position {kinds.index('call') + 1}. Please "
                "refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
            )
        if _standard(str(given)) not in (signature(str(call.get("name"))), *map(_encoded, SKIPS), *SKIPS):
            raise invalid("Thought signature is not valid.")


def _standard(text: str) -> str:
    return text.translate(STANDARD) if text not in SKIPS else text


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
