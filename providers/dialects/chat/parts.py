"""Content parts of chat messages: text, images, audio, files, and the reasoning that compatible servers add."""

from collections.abc import Iterable
from typing import Any

from providers.dialects import media as medias
from providers.dialects.neutral import Cache, Media, Part, Reasoning, Refusal, Text
from providers.dialects.wire import Fields, invalid, items, take, typed

ORIGIN = "chat"
# OpenRouter's names for what wrote a reasoning detail; its clients send them back as they came.
FORMATS = {"anthropic": "anthropic-claude-v1", "gemini": "google-gemini-v1", "responses": "openai-responses-v1"}
_ORIGINS = {form: origin for origin, form in FORMATS.items()}
_AUDIO = {"audio/mpeg": "mp3", "audio/wav": "wav"}


def cache_of(fields: Fields) -> Cache | None:
    """Return a part's or tool's cache mark, in Anthropic's form as compatible servers take it."""
    mark = fields.get("cache_control")
    return Cache(str(mark.get("ttl") or "")) if isinstance(mark, dict) else None


def cache_fields(cache: Cache | None) -> Fields:
    """Return a cache mark's field, nothing without a mark."""
    if cache is None:
        return {}
    return {"cache_control": {"type": "ephemeral", "ttl": cache.ttl} if cache.ttl else {"type": "ephemeral"}}


def read_content(content: Any, where: str) -> list[Part]:
    """Return the parts of a message's content, a string or an array."""
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list):
        raise invalid(where, content, "It must be a string or an array of content parts.")
    return [read_part(part, f"{where}[{index}]") for index, part in enumerate(items(content, where))]


def read_part(part: Fields, where: str) -> Part:
    """Return one content part."""
    kind = part.get("type")
    if kind == "text":
        return Text(typed(part.get("text", ""), str, f"{where}.text"), cache_of(part))
    if kind in ("image_url", "video_url", "audio_url"):
        return _linked(part, kind, where)
    if kind == "input_audio":
        return _audio(part, where)
    if kind == "file":
        return _file(part, where)
    if kind == "refusal":
        return Refusal(typed(part.get("refusal", ""), str, f"{where}.refusal"))
    if kind == "thinking":
        return Reasoning(str(part.get("thinking") or ""), str(part.get("signature") or ""), origin="anthropic")
    if kind == "redacted_thinking":
        return Reasoning(redacted=str(part.get("data") or ""), origin="anthropic")
    raise invalid(
        f"{where}.type", kind, "Supported values are: 'text', 'image_url', 'input_audio', 'file' and 'refusal'."
    )


def _linked(part: Fields, kind: str, where: str) -> Media:
    """Return what an ``image_url`` part points at; with ``mime_type``, also audio and video.

    The contract's examples nest ``image_url.image_url`` once; that spelling works, too, as does a bare string.
    """
    link = part.get(kind)
    if isinstance(link, str):
        link = {"url": link}
    link = typed(link if link is not None else {}, dict, f"{where}.{kind}")
    name = "url" if "url" in link else kind
    url = typed(link.get(name), str, f"{where}.{kind}.url")
    mime = typed(link.get("mime_type") or part.get("mime_type") or "", str, f"{where}.{kind}.mime_type")
    usual = kind.removesuffix("_url")
    found = medias.from_url(url, mime, usual, f"{where}.{kind}.url")  # type: ignore[arg-type]
    found.detail = str(link.get("detail") or "")
    found.cache = cache_of(part)
    return found


def _audio(part: Fields, where: str) -> Media:
    sound = typed(part.get("input_audio"), dict, f"{where}.input_audio")
    data = typed(sound.get("data"), str, f"{where}.input_audio.data")
    if data[:5].lower() == "data:":
        found = medias.from_url(data, kind="audio", where=f"{where}.input_audio.data")
        return Media("audio", data=found.data, mime=found.mime, cache=cache_of(part))
    form = typed(sound.get("format") or "wav", str, f"{where}.input_audio.format")
    mime = medias.sniff_base64(data) or medias.normal(f"audio/{form}")
    return Media("audio", data=data, mime=mime, cache=cache_of(part))


def _file(part: Fields, where: str) -> Media:
    file = typed(part.get("file"), dict, f"{where}.file")
    name = str(file.get("filename") or "")
    if isinstance(file.get("file_id"), str):
        return Media("file", file_id=file["file_id"], name=name, cache=cache_of(part))
    data = typed(file.get("file_data") or file.get("file_url"), str, f"{where}.file.file_data")
    mime = typed(file.get("mime_type") or "", str, f"{where}.file.mime_type")
    if data[:5].lower() != "data:" and "://" not in data:
        data = f"data:{mime};base64,{data}"
    found = medias.from_url(data, mime, "file", f"{where}.file.file_data")
    found.mime = found.mime or "application/pdf"
    found.name, found.cache = name, cache_of(part)
    return found


def read_reasoning(message: Fields) -> list[Part]:
    """Take a message's reasoning, in any of the forms that compatible servers and gateways have."""
    details = message.pop("reasoning_details", None) or message.pop("thinking_blocks", None)
    text = message.pop("reasoning_content", None) or message.pop("reasoning", None)
    found = [_detail(each) for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    if found:
        return _joined([each for each in found if each is not None])
    return [Reasoning(text)] if isinstance(text, str) and text else []


def _joined(thoughts: list[Reasoning]) -> list[Part]:
    """Join what was streamed in pieces: a thought goes on until its signature."""
    found: list[Part] = []
    for each in thoughts:
        last = found[-1] if found else None
        if (
            isinstance(last, Reasoning)
            and not (last.signature or last.redacted or each.redacted)
            and last.origin == each.origin
        ):
            last.text, last.signature, last.id = last.text + each.text, each.signature, last.id or each.id
        else:
            found.append(each)
    return found


def _detail(detail: Fields) -> Reasoning | None:
    said = str(detail.get("format"))  # again and again, where a client put a stream's pieces together
    origin = next((origin for form, origin in _ORIGINS.items() if said.startswith(form)), "")
    kind = detail.get("type")
    text = detail.get("text") or detail.get("summary") or detail.get("thinking")
    if kind == "thinking":
        return Reasoning(str(text or ""), str(detail.get("signature") or ""), origin="anthropic")
    if kind == "redacted_thinking":
        return Reasoning(redacted=str(detail.get("data") or ""), origin="anthropic")
    if kind == "reasoning.encrypted":
        return Reasoning(redacted=str(detail.get("data") or ""), origin=origin, id=str(detail.get("id") or ""))
    if kind in ("reasoning.text", "reasoning.summary"):
        return Reasoning(
            str(text or ""), str(detail.get("signature") or ""), origin=origin, id=str(detail.get("id") or "")
        )
    return None


def reasoning_details(parts: Iterable[Reasoning], first: int = 0) -> list[Fields]:
    """Return reasoning with its signatures, so that a client can send it back; nothing where nothing has to come
    back.
    """
    found: list[Fields] = []
    for part in parts:
        form: Fields = {"format": FORMATS[part.origin]} if part.origin in FORMATS else {}
        if part.redacted:
            detail: Fields = {"type": "reasoning.encrypted", "data": part.redacted}
        elif part.origin:
            detail = {"type": "reasoning.text", "text": part.text, "signature": part.signature or None}
        else:
            continue
        if part.id:
            detail["id"] = part.id
        found.append({**detail, **form, "index": first + len(found)})
    return found


def write_part(part: Part, *, marks: bool) -> Fields | None:
    """Return a content part for a chat server, ``None`` for what has no place in content.

    ``marks``: cache marks are taken.
    """
    if isinstance(part, Text):
        return {"type": "text", "text": part.text, **(cache_fields(part.cache) if marks else {})}
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    if not isinstance(part, Media):
        return None
    return {**_write_media(part), **(cache_fields(part.cache) if marks else {})}


def _write_media(part: Media) -> Fields:
    if part.kind == "image":
        link: Fields = {"url": medias.data_uri(part)}
        return {"type": "image_url", "image_url": {**link, "detail": part.detail} if part.detail else link}
    if part.kind == "audio" and part.data:
        form = _AUDIO.get(part.mime) or part.mime.partition("/")[2] or "wav"
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": form}}
    if part.kind in ("audio", "video"):
        return {"type": f"{part.kind}_url", f"{part.kind}_url": {"url": medias.data_uri(part)}}
    if part.file_id:
        return {"type": "file", "file": {"file_id": part.file_id}}
    name = part.name or ("document.pdf" if part.mime == "application/pdf" else "document")
    return {"type": "file", "file": {"filename": name, "file_data": medias.data_uri(part)}}


def signature_of(fields: Fields) -> str:
    """Return the thought signature that Google's own compatibility layer puts on calls and messages."""
    extra = fields.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else ""


def signature_fields(signature: str) -> Fields:
    """Return a thought signature where Google's own compatibility layer puts it."""
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}


def take_float(fields: Fields, name: str) -> float | None:
    """Remove and return a number."""
    return take(fields, name, float)
