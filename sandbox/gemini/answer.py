"""The answer: a whole one, and the chunks of a stream."""

from collections import Counter
from collections.abc import Iterable, Iterator

from sandbox.gemini.conversation import signature
from sandbox.gemini.fields import Fields
from sandbox.gemini.reading import Asked
from sandbox.misbehaviour.faults import Faults
from sandbox.model.chat_format import token_logprob
from sandbox.model.generation import Output
from sandbox.wire.messages import encode

_CATEGORIES = ("HATE_SPEECH", "DANGEROUS_CONTENT", "HARASSMENT", "SEXUALLY_EXPLICIT")
_STOPS = {"length": "MAX_TOKENS"}


def ratings(blocked: bool) -> list[Fields]:
    """What Google thinks of a text; `blocked` for its being dangerous."""
    found = []
    for category in _CATEGORIES:
        high = blocked and category == "DANGEROUS_CONTENT"
        rating: Fields = {
            "category": f"HARM_CATEGORY_{category}",
            "probability": "HIGH" if high else "NEGLIGIBLE",
        }
        found.append({**rating, "blocked": True} if high else rating)
    return found


def usage(asked: Asked, outputs: list[Output], cached: int, made: Counter[str], faults: Faults) -> Fields:
    """Usage in Google's sense: candidates without the thoughts. `made` are tokens of other answers than text."""
    given = faults.usage
    sent = given.get("prompt_tokens", given.get("input_tokens", asked.prompt.tokens))
    thoughts = given.get("reasoning_tokens", sum(output.reasoning_tokens for output in outputs))
    said = sum(output.tokens - output.reasoning_tokens for output in outputs) + sum(made.values())
    said = given.get("completion_tokens", given.get("output_tokens", said))
    cached = given.get("cached_tokens", cached)
    found: Fields = {
        "promptTokenCount": sent,
        "candidatesTokenCount": said,
        "totalTokenCount": given.get("total_tokens", sent + said + thoughts),
        "promptTokensDetails": details(asked.reader.counts),
    }
    if cached:
        found |= {"cachedContentTokenCount": cached, "cacheTokensDetails": details(Counter(TEXT=cached))}
    if made:
        found["candidatesTokensDetails"] = details(made)
    return found | ({"thoughtsTokenCount": thoughts} if thoughts else {})


def details(counts: Counter[str]) -> list[Fields]:
    """Tokens by modality."""
    return [{"modality": name, "tokenCount": count} for name, count in counts.items() if count]


def blocked(tail: Fields, used: Fields) -> Fields:
    """The answer to a prompt that is blocked: no candidate."""
    feedback = {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": ratings(blocked=True)}
    sent = {name: used[name] for name in ("promptTokenCount", "promptTokensDetails") if name in used}
    found: Fields = {"promptFeedback": feedback, **tail}
    if used:
        found["usageMetadata"] = {**sent, "totalTokenCount": used["promptTokenCount"]}
    return found


def whole(asked: Asked, outputs: list[Output], media: list[Fields], tail: Fields, used: Fields) -> Fields:
    """The whole answer; `media` are parts behind the text."""
    found = []
    for index, output in enumerate(outputs):
        pieces = [output.text] if output.pieces else []
        parts = [*_thoughts(asked, output), *_calls(asked, output), *_texts(asked, output, pieces), *media]
        found.append(_candidate(asked, output, parts, index, last=True))
    return {"candidates": found, **({"usageMetadata": used} if used else {}), **tail}


def chunks(asked: Asked, outputs: list[Output], media: list[Fields], tail: Fields, used: Fields) -> Iterator[Fields]:
    """The chunks of a stream: one for each token of the first candidate, and one that says how it ended."""
    begun = {name: used[name] for name in ("promptTokenCount", "promptTokensDetails") if name in used}
    if used:
        tail = {**tail, "usageMetadata": {**begun, "totalTokenCount": used["promptTokenCount"]}}
    for output in outputs[:1]:
        parts = [*_thoughts(asked, output), *_calls(asked, output)]
        for part in parts:
            yield {"candidates": [_candidate(asked, output, [part], 0)], **tail}
        for piece in output.stream() if not output.is_refusal else ():
            yield {"candidates": [_candidate(asked, output, [{"text": piece}], 0)], **tail}
        for part in media:
            yield {"candidates": [_candidate(asked, output, [part], 0)], **tail}
        end: list[Fields] = [] if output.is_refusal else [{"text": ""}]
        if end and asked.model.signed and output.pieces:
            end[0]["thoughtSignature"] = signature("")
        finished = _candidate(asked, output, end, 0, last=True)
        yield {"candidates": [finished], **tail, **({"usageMetadata": used} if used else {})}


def as_events(found: Iterable[Fields]) -> Iterator[bytes]:
    """A stream with `alt=sse`."""
    for chunk in found:
        yield b"data: " + encode(chunk) + b"\r\n\r\n"


def as_array(found: Iterable[Fields]) -> Iterator[bytes]:
    """A stream without it: one JSON array, a chunk at a time."""
    before = b"["
    for chunk in found:
        yield before + encode(chunk)
        before = b"\n,\r\n"
    yield b"]" if before != b"[" else b"[]"


def _candidate(asked: Asked, output: Output, parts: list[Fields], index: int, *, last: bool = False) -> Fields:
    found: Fields = {"index": index}
    if output.is_refusal:
        return {**found, "finishReason": "SAFETY", "safetyRatings": ratings(blocked=True)}
    found["content"] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    if last:
        found["finishReason"] = _STOPS.get(output.finish_reason, "STOP")
        if asked.config.get("responseLogprobs") and output.pieces:
            found |= _logprobs(output, asked.config.get("logprobs") or 0)
    return found


def _thoughts(asked: Asked, output: Output) -> list[Fields]:
    if not asked.thoughts or not output.reasoning_tokens:
        return []
    return [{"text": f"**Considering the request**\n\nThe user wants: {asked.prompt.user_text[:200]}", "thought": True}]


def _calls(asked: Asked, output: Output) -> Iterator[Fields]:
    """The calls, the first with a signature where the model signs them."""
    for index, call in enumerate(output.calls):
        part: Fields = {"functionCall": {"name": call.name, "args": call.values()}}
        if asked.model.signed:
            if asked.model.ids:
                part["functionCall"]["id"] = _call_id(asked, index)
            if index == 0:
                part["thoughtSignature"] = signature(call.name)
        yield part


def _call_id(asked: Asked, index: int) -> str:
    return f"{signature(asked.prompt.user_text)[24:31].lower().replace('/', 'a').replace('+', 'b')}{index}"


def _texts(asked: Asked, output: Output, pieces: list[str]) -> Iterator[Fields]:
    for piece in pieces if not output.is_refusal else ():
        yield {"text": piece, **({"thoughtSignature": signature("")} if asked.model.signed else {})}


def _logprobs(output: Output, top: int) -> Fields:
    chosen, others = [], []
    for piece in output.pieces:
        likely = token_logprob(piece, top)
        chosen.append({"token": piece, "tokenId": len(piece), "logProbability": likely["logprob"]})
        alternatives = [
            {"token": each["token"], "tokenId": len(each["token"]), "logProbability": each["logprob"]}
            for each in likely["top_logprobs"]
        ]
        others.append({"candidates": alternatives})
    average = sum(each["logProbability"] for each in chosen) / len(chosen)
    return {"avgLogprobs": average, "logprobsResult": {"chosenCandidates": chosen, "topCandidates": others}}
