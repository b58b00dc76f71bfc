"""Gemini's content parts, from and to neutral ones."""

from typing import Any

from providers.dialects import media as medias
from providers.dialects.failures import unsupported
from providers.dialects.neutral import Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from providers.dialects.wire import Fields, arguments_object, encode, lenient, listed, text_of

ORIGIN = "gemini"
SKIP = "skip_thought_signature_validator"
"""What Google documents for calls in the history that another model made, and so have no signature."""


def either(fields: Fields, camel: str, snake: str) -> Any:
    """Return a field in either of the spellings that Google's API takes."""
    value = fields.get(camel)
    return fields.get(snake) if value is None else value


def write_media(part: Media) -> Fields:
    """Return an inline part, or one that Gemini fetches itself."""
    if part.data:
        return {"inlineData": {"mimeType": part.mime or _usual(part), "data": part.data}}
    if part.file_id:
        raise unsupported("messages", "names a file by its id, which only its own provider knows.")
    mime = {"mimeType": part.mime} if part.mime else {}
    return {"fileData": {**mime, "fileUri": part.url}}


def _usual(part: Media) -> str:
    return {"image": "image/jpeg", "audio": "audio/wav", "video": "video/mp4"}.get(part.kind, "application/pdf")


def takes_uri(media: Media, hand_over: bool) -> bool:
    """Whether Gemini fetches a URL itself: YouTube, its own files, Google's storage; any with ``hand_over``, if its
    type is known.
    """
    url = media.url
    if url.startswith("gs://") or medias.is_youtube(url):
        return True
    if url.startswith("https://generativelanguage.googleapis.com/"):
        return True
    return hand_over and url.startswith("https://") and bool(media.mime) and media.kind != "audio"


def write_call(part: ToolCall, name: str, *, with_id: bool) -> Fields:
    """Return a call's part, with its signature if it has one."""
    call: Fields = {"name": name, "args": arguments_object(part.arguments)}
    if with_id:
        call["id"] = part.id
    return {"functionCall": call, **signed(part.signature)}


def signed(signature: str) -> Fields:
    """Return a signature's field, nothing for none."""
    return {"thoughtSignature": signature} if signature else {}


def write_result(part: ToolResult, name: str, *, with_id: bool) -> list[Fields]:
    """Return a result's part, its media behind it. A JSON object goes as it is, anything else under a name."""
    text = "\n".join(each.text for each in part.parts if isinstance(each, Text))
    value = lenient(text.encode("utf-8", "replace")) if text[:1] == "{" else None
    key = "error" if part.is_error else "output"
    response: Fields = {
        "name": name,
        "response": value if isinstance(value, dict) and not part.is_error else {key: text},
    }
    if with_id:
        response["id"] = part.call_id
    shown = [write_media(each) for each in part.parts if isinstance(each, Media)]
    return [{"functionResponse": response}, *shown]


def read_part(part: Fields, call_id: str = "") -> Part | None:
    """Return a part of a request or an answer; ``None`` for what only Gemini's own tools understand.

    ``call_id`` is the id of a call that has none of its own.
    """
    signature = text_of(either(part, "thoughtSignature", "thought_signature"))
    text = part.get("text")
    if isinstance(text, str):
        if part.get("thought") is True:
            return Reasoning(text, signature, origin=ORIGIN)
        return Text(text, signature=signature) if text or signature else None
    call = either(part, "functionCall", "function_call")
    if isinstance(call, dict):
        arguments = encode(call["args"]).decode() if isinstance(call.get("args"), dict) else "{}"
        return ToolCall(text_of(call.get("id")) or call_id, text_of(call.get("name")), arguments, signature)
    inline = either(part, "inlineData", "inline_data")
    if isinstance(inline, dict):
        return _inline(inline, signature)
    if part.get("thought") is True or signature:
        return Reasoning("", signature, origin=ORIGIN)
    return _executed(part)


def _inline(inline: Fields, signature: str) -> Media:
    data = text_of(inline.get("data")).translate(_STANDARD)
    said = text_of(either(inline, "mimeType", "mime_type"))
    raw = said.lower().startswith(
        ("audio/l16", "audio/pcm")
    )  # no head to recognise it by, and its rate behind the type
    mime = said if raw else medias.sniff_base64(data) or medias.normal(said)
    return Media(medias.kind_of(mime), data=data, mime=mime or said, signature=signature)


_STANDARD = str.maketrans("-_", "+/")


def _executed(part: Fields) -> Text | None:
    """Return the code that Gemini ran itself, and what came of it, as text."""
    code = either(part, "executableCode", "executable_code")
    if isinstance(code, dict):
        return Text(f"\n```{text_of(code.get('language')).lower()}\n{text_of(code.get('code'))}\n```\n")
    result = either(part, "codeExecutionResult", "code_execution_result")
    if isinstance(result, dict) and text_of(result.get("output")):
        return Text(f"\n```\n{result['output']}\n```\n")
    return None


def write_part(part: Part) -> Fields | None:
    """Return the part of an answer in Gemini's dialect."""
    if isinstance(part, (Text, Refusal)):
        signature = part.signature if isinstance(part, Text) else ""
        return {"text": part.text, **signed(signature)} if part.text or signature else None
    if isinstance(part, Reasoning):
        return {"text": part.text, "thought": True} if part.text else None
    if isinstance(part, ToolCall):
        return write_call(part, part.name, with_id=True)
    if isinstance(part, Media):
        return {**write_media(part), **signed(part.signature)}
    return None


def citations(candidate: Fields) -> list[Fields]:
    """Return the web pages that an answer is grounded on, as OpenAI's citations, each over the text it supports."""
    grounding = candidate.get("groundingMetadata")
    chunks = listed(grounding, "groundingChunks")
    found = []
    for support in listed(grounding, "groundingSupports"):
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        for index in support.get("groundingChunkIndices") or []:
            web = chunks[index].get("web") if isinstance(index, int) and 0 <= index < len(chunks) else None
            if isinstance(web, dict) and text_of(web.get("uri")):
                start, end = segment.get("startIndex"), segment.get("endIndex")
                citation = {
                    "start_index": start if isinstance(start, int) else 0,
                    "end_index": end if isinstance(end, int) else 0,
                    "url": web["uri"],
                    "title": text_of(web.get("title")),
                }
                found.append({"type": "url_citation", "url_citation": citation})
    return found
