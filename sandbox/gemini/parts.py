"""The parts of a conversation: what each says, costs and has to look like."""

import base64
import binascii
import io
from collections import Counter
from typing import Any

from sandbox.gemini.fields import closed, typed
from sandbox.gemini.service import invalid, violation
from sandbox.media.hearing import listen
from sandbox.model import tokens
from sandbox.model.prompt import Attachment, Prompt, ToolResult
from sandbox.wire.messages import encode

PARTS = (
    *("text", "inlineData", "functionCall", "functionResponse", "fileData", "executableCode", "codeExecutionResult"),
    *("videoMetadata", "thought", "thoughtSignature", "partMetadata", "mediaResolution"),
)
IMAGE_TOKENS, PAGE_TOKENS = 258, 258
AUDIO_PER_SECOND, VIDEO_PER_SECOND = 32, 263
VIDEO_BYTES_PER_SECOND = 100_000
TYPES = {
    "image": ("png", "jpeg", "webp", "heic", "heif"),
    "audio": ("wav", "mp3", "mpeg", "aiff", "aac", "ogg", "flac", "mp4", "m4a", "l16", "pcm", "opus", "webm"),
    "video": ("mp4", "mpeg", "mov", "avi", "x-flv", "mpg", "webm", "wmv", "3gpp", "quicktime"),
    "text": ("plain", "html", "css", "csv", "xml", "rtf", "javascript", "markdown", "x-python"),
    "application": ("pdf", "json", "x-javascript", "x-python", "rtf"),
}
STANDARD = str.maketrans("-_", "+/")  # Google's decoder takes both alphabets of base64
_YOUTUBE = ("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/")
_MODALITIES = {"image": "IMAGE", "audio": "AUDIO", "video": "VIDEO"}


class Reader:
    """Reads parts into a prompt, and counts tokens by modality."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.counts: Counter[str] = Counter()

    def read(self, part: Any, where: str) -> tuple[str, str]:
        """A part's kind and text: text, call, result, media or other. Raises ApiError 400 for a bad one."""
        fields = closed(part, PARTS, where)
        if "functionCall" in fields:
            return "call", self._call(fields["functionCall"], f"{where}.function_call")
        if "functionResponse" in fields:
            return "result", self._result(fields["functionResponse"], f"{where}.function_response")
        if "inlineData" in fields:
            self._attach(*_inline(fields["inlineData"], f"{where}.inline_data"))
            return "media", ""
        if "fileData" in fields:
            self._attach(*_linked(fields["fileData"], f"{where}.file_data"))
            return "media", ""
        if "text" in fields:
            text: str = typed(fields, "text", str, where)
            self.counts["TEXT"] += tokens.count(text)
            return ("other", "") if fields.get("thought") is True else ("text", text)
        if not fields.keys() & {"executableCode", "codeExecutionResult", "thought", "thoughtSignature"}:
            raise invalid(
                f"* GenerateContentRequest.{where}.data: required oneof field 'data' must have one initialized field"
            )
        return "other", ""

    def _call(self, call: Any, where: str) -> str:
        fields = closed(call, ("id", "name", "args"), where)
        name = str(typed(fields, "name", str, where) or "")
        if not name:
            raise invalid(f"* GenerateContentRequest.{where}.name: Name cannot be empty.")
        self.counts["TEXT"] += tokens.count(name + encode(typed(fields, "args", dict, where) or {}).decode())
        return name

    def _result(self, result: Any, where: str) -> str:
        fields = closed(result, ("id", "name", "response", "parts", "willContinue", "scheduling"), where)
        name = str(typed(fields, "name", str, where) or "")
        if not name:
            raise invalid(f"* GenerateContentRequest.{where}.name: Name cannot be empty.")
        response = typed(fields, "response", dict, where)
        if response is None:
            raise invalid(f"* GenerateContentRequest.{where}.response: Response cannot be empty.")
        said = response.get("output", response.get("result", response)) if len(response) == 1 else response
        text = said if isinstance(said, str) else encode(said).decode()
        self.prompt.tool_results.append(ToolResult(name, text))
        self.counts["TEXT"] += tokens.count(name + encode(response).decode())
        return name

    def _attach(self, attachment: Attachment, cost: int) -> None:
        self.prompt.attachments.append(attachment)
        self.counts[_MODALITIES.get(attachment.kind, "DOCUMENT")] += cost


def _kind(mime: str, where: str) -> str:
    """What a media type is for a model; raises ApiError 400 for one that it does not take."""
    family, _, name = mime.lower().partition(";")[0].strip().partition("/")
    if name not in TYPES.get(family, ()):
        raise invalid(f"Unsupported MIME type: {mime}")
    return family if family in _MODALITIES else "file"


def _inline(blob: Any, where: str) -> tuple[Attachment, int]:
    fields = closed(blob, ("mimeType", "data", "displayName"), where)
    mime = str(typed(fields, "mimeType", str, where) or "")
    kind = _kind(mime, where)
    try:
        data = base64.b64decode((typed(fields, "data", str, where) or "").translate(STANDARD), validate=True)
    except binascii.Error as error:
        raise violation(
            f"{where}.data", f"Invalid value at '{where}.data' (TYPE_BYTES), Base64 decoding failed"
        ) from error
    if not data:
        raise invalid(f"* GenerateContentRequest.{where}.data: required field is not initialized")
    if mime == "application/pdf" and not data.startswith(b"%PDF-"):
        raise invalid("The document has no pages.")
    attachment = Attachment(kind, media_type=mime, size=len(data))
    return attachment, _cost(attachment, data)


def _cost(attachment: Attachment, data: bytes) -> int:
    if attachment.kind == "image":
        return IMAGE_TOKENS
    if attachment.kind == "audio":
        heard = listen(io.BytesIO(data))
        attachment.heard = heard.text or ""
        return int(heard.seconds * AUDIO_PER_SECOND) + 1
    if attachment.kind == "video":
        return (len(data) // VIDEO_BYTES_PER_SECOND + 1) * VIDEO_PER_SECOND
    if attachment.media_type == "application/pdf":
        return PAGE_TOKENS
    return len(data) // 4 + 1


def _linked(file: Any, where: str) -> tuple[Attachment, int]:
    fields = closed(file, ("mimeType", "fileUri", "displayName"), where)
    uri = str(typed(fields, "fileUri", str, where) or "")
    mime = str(typed(fields, "mimeType", str, where) or "")
    if not uri.startswith(("https://", "gs://")):
        raise invalid(f"Cannot fetch content from the provided URL. Unsupported file URI type: {uri}")
    kind = "video" if uri.startswith(_YOUTUBE) and not mime else _kind(mime, where)
    cost = {"image": IMAGE_TOKENS, "audio": 10 * AUDIO_PER_SECOND, "video": 10 * VIDEO_PER_SECOND}.get(
        kind, PAGE_TOKENS
    )
    return Attachment(kind, uri, mime), cost
