"""The neutral form between dialects: a request and an answer (``events`` has a stream's), as every dialect can read or
write them.

Each dialect is written once against this form, so that any front door reaches any provider. Everything here is data;
what a vendor calls a thing, and what it does not take, is in the dialects and in ``params``.
"""

from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool"]
MediaKind = Literal["image", "audio", "video", "file"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
FinishReason = Literal[
    "stop", "stop_sequence", "length", "context_length", "tool_calls", "content_filter", "pause", "malformed"
]
"""Why a choice ended.

``stop_sequence``, ``context_length``, ``pause`` and ``malformed`` are finer than OpenAI's reasons.
"""


class Cache(msgspec.Struct, frozen=True):
    """A mark behind which a vendor may cache the prompt; ``ttl`` is ``5m``, ``1h`` or empty for the vendor's
    default.
    """

    ttl: str = ""


class Text(msgspec.Struct):
    """A piece of text. ``signature`` is Gemini's thought signature on a text part."""

    text: str
    cache: Cache | None = None
    signature: str = ""
    annotations: list[dict[str, Any]] = []


class Media(msgspec.Struct):
    """An image, audio, a video or a document: ``data`` (base64), ``url`` or ``file_id``. ``mime`` may be empty."""

    kind: MediaKind
    data: str = ""
    url: str = ""
    file_id: str = ""
    mime: str = ""
    name: str = ""
    detail: str = ""
    cache: Cache | None = None
    signature: str = ""


class ToolCall(msgspec.Struct):
    """A call of a tool. ``arguments`` is JSON text of an object; ``signature`` Gemini's thought signature."""

    id: str
    name: str
    arguments: str
    signature: str = ""
    cache: Cache | None = None


class ToolResult(msgspec.Struct):
    """What a tool answered to the call ``call_id``."""

    call_id: str
    parts: list["Text | Media"]
    name: str = ""
    is_error: bool = False
    cache: Cache | None = None


class Reasoning(msgspec.Struct):
    """A model's thinking: a summary or the text itself, and what proves it to its vendor.

    ``origin`` is the dialect that ``signature`` and ``redacted`` belong to; other vendors would refuse them.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""
    origin: str = ""
    id: str = ""


class Refusal(msgspec.Struct):
    """The model's words of refusal."""

    text: str


Part = Text | Media | ToolCall | ToolResult | Reasoning | Refusal


class Message(msgspec.Struct):
    """One turn. Results of tools are in messages of the role ``tool``, nothing else is."""

    role: Role
    parts: list[Part]


class Tool(msgspec.Struct):
    """A function that the model may call.

    ``custom`` tools take free text instead of JSON: a vendor without them sees a function with one string, ``input``.
    ``search`` is the vendor's own web search. ``schema`` is JSON Schema. ``namespace`` is the part of the name in front
    that the caller knows as such, and ``item`` the type of its calls where the Responses API has one of their own.
    """

    name: str
    description: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache: Cache | None = None
    kind: Literal["function", "custom", "search"] = "function"
    namespace: str = ""
    item: str = ""


class ToolChoice(msgspec.Struct):
    """``auto``, ``none`` or ``required``; with ``names``, only those tools."""

    mode: Literal["auto", "none", "required"]
    names: list[str] = []


class Format(msgspec.Struct):
    """The form of the answer: any JSON object, or JSON by a schema."""

    kind: Literal["json_object", "json_schema"]
    name: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str = ""


class Thinking(msgspec.Struct):
    """How much a model should think: an effort or a budget in tokens; ``summary`` asks for the thoughts to be shown."""

    effort: Effort | None = None
    budget: int | None = None
    summary: bool | None = None


class Request(msgspec.Struct):
    """A chat request. ``None`` is not given. ``extra`` are fields that only the dialect ``origin`` knows."""

    origin: str
    model: str = ""
    system: list[Text] = []
    messages: list[Message] = []
    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None
    parallel: bool | None = None
    format: Format | None = None
    thinking: Thinking | None = None
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = []
    n: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    verbosity: str | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    modalities: list[str] = []
    voice: str = ""
    safety: list[dict[str, Any]] = []
    extra: dict[str, Any] = {}


class Usage(msgspec.Struct):
    """Tokens. ``input`` includes cached, written and tool-use tokens, ``output`` the reasoning tokens.

    ``searches`` are web searches that are billed beside them, ``requests`` what is billed by the search of a rerank.
    ``gap`` says what is wrong with the counts, empty when nothing is (``usage.Counts``).
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_output: int = 0
    video_input: int = 0
    searches: int = 0
    requests: int = 0
    service_tier: str = ""
    gap: str = ""

    @property
    def cache_write(self) -> int:
        return self.cache_write_5m + self.cache_write_1h


class Choice(msgspec.Struct):
    """One answer of several.

    ``detail`` is a vendor's word on the finish, ``sequence`` the stop sequence that was met.
    """

    parts: list[Part]
    finish: FinishReason = "stop"
    detail: str = ""
    sequence: str = ""
    logprobs: list[dict[str, Any]] | None = None


class Answer(msgspec.Struct):
    """A whole answer. ``created`` is in Unix seconds."""

    id: str
    model: str
    created: int
    choices: list[Choice]
    usage: Usage | None = None


class Failure(msgspec.Struct):
    """A vendor's error in OpenAI's words. ``status`` is HTTP's, and decides before ``type`` and ``code`` do.

    ``retry_after`` are the seconds to wait that a vendor says in the error's body.
    """

    status: int
    message: str
    type: str
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None


class Written(msgspec.Struct):
    """A request in a vendor's dialect: its JSON ``body``, and what the answer's reader has to know.

    ``dropped`` names, in the caller's words, what could not be sent as given; ``names`` maps tool names as sent to the
    caller's; ``json_tool`` is the name of the tool that carries the structured answer, if one was forced for it.
    """

    body: bytes
    dropped: list[str]
    names: dict[str, str] = {}
    json_tool: str = ""


class Settings(msgspec.Struct, kw_only=True):
    """What the target says about one request.

    ``model`` is the upstream's name, ``family`` the name that rules are looked up by (``model`` if empty: an alias or a
    deployment hides it), ``max_output`` the model's own limit, ``strict`` refuses what would be dropped, ``cache``
    marks the prompt for caching (``x-tfy-cache-control``), ``media`` maps a URL to what was fetched from it,
    ``hand_over_urls`` lets a vendor fetch URLs itself, ``vendor`` is the kind of the provider account and ``usage`` how
    it counts. ``stream_usage`` says whether a stream is asked for its usage; ``None``: as the vendor's row has it.
    ``vertex``: the dialect is as Vertex AI speaks it.
    """

    model: str
    family: str = ""
    vendor: str = ""
    usage: str = "openai"
    max_output: int | None = None
    strict: bool = False
    cache: Cache | None = None
    media: dict[str, Media] = {}
    hand_over_urls: bool = False
    stream_usage: bool | None = None
    vertex: bool = False

    @property
    def rules_name(self) -> str:
        return self.family or self.model
