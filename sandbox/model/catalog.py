"""The upstream's models: a row for each name that OpenAI knows."""

from typing import NamedTuple

from sandbox.errors import ApiError, model_not_found
from sandbox.state import State
from sandbox.store.auth import owned


class Model(NamedTuple):
    """`kind` says which endpoints serve it; `snapshot` is the dated name that answers show for an alias."""

    id: str
    kind: str
    snapshot: str = ""
    created: int = 1715367049
    owned_by: str = "system"
    dimensions: int = 0

    @property
    def shown(self) -> str:
        return self.snapshot or self.id

    @property
    def reasons(self) -> bool:
        """Thinks before it answers, counts reasoning tokens and refuses sampling parameters."""
        return self.kind in ("reasoning", "reasoning-pro")


# kind: names, each "alias=snapshot" where an alias answers under a dated name
_NAMES: dict[str, str] = {
    "chat": """
        gpt-4o=gpt-4o-2024-08-06 gpt-4o-2024-11-20 gpt-4o-2024-08-06 gpt-4o-2024-05-13
        gpt-4o-mini=gpt-4o-mini-2024-07-18 gpt-4o-mini-2024-07-18 chatgpt-4o-latest
        gpt-4.1=gpt-4.1-2025-04-14 gpt-4.1-2025-04-14 gpt-4.1-mini=gpt-4.1-mini-2025-04-14
        gpt-4.1-mini-2025-04-14 gpt-4.1-nano=gpt-4.1-nano-2025-04-14 gpt-4.1-nano-2025-04-14
        gpt-4-turbo=gpt-4-turbo-2024-04-09 gpt-4-turbo-2024-04-09 gpt-4=gpt-4-0613 gpt-4-0613
        gpt-4-turbo-preview=gpt-4-0125-preview gpt-4-0125-preview gpt-4-1106-preview
        gpt-3.5-turbo=gpt-3.5-turbo-0125 gpt-3.5-turbo-0125 gpt-3.5-turbo-1106 gpt-3.5-turbo-16k
        chat-latest gpt-5-search-api=gpt-5-search-api-2025-10-14 gpt-5-search-api-2025-10-14
        gpt-5-chat-latest gpt-5.1-chat-latest gpt-5.2-chat-latest gpt-5.3-chat-latest
        gpt-4o-search-preview=gpt-4o-search-preview-2025-03-11 gpt-4o-search-preview-2025-03-11
        gpt-4o-mini-search-preview=gpt-4o-mini-search-preview-2025-03-11 gpt-4o-mini-search-preview-2025-03-11
        """,
    "audio-chat": """
        gpt-4o-audio-preview=gpt-4o-audio-preview-2025-06-03 gpt-4o-audio-preview-2025-06-03
        gpt-4o-audio-preview-2024-12-17 gpt-4o-mini-audio-preview=gpt-4o-mini-audio-preview-2024-12-17
        gpt-4o-mini-audio-preview-2024-12-17 gpt-audio=gpt-audio-2025-08-28 gpt-audio-2025-08-28
        gpt-audio-1.5 gpt-audio-mini-2025-10-06 gpt-audio-mini=gpt-audio-mini-2025-12-15 gpt-audio-mini-2025-12-15
        """,
    "reasoning": """
        gpt-5=gpt-5-2025-08-07 gpt-5-2025-08-07 gpt-5-mini=gpt-5-mini-2025-08-07 gpt-5-mini-2025-08-07
        gpt-5-nano=gpt-5-nano-2025-08-07 gpt-5-nano-2025-08-07 gpt-5.1=gpt-5.1-2025-11-13 gpt-5.1-2025-11-13
        gpt-5.2=gpt-5.2-2025-12-11 gpt-5.2-2025-12-11 gpt-5.4=gpt-5.4-2026-03-05 gpt-5.4-2026-03-05
        gpt-5.4-mini=gpt-5.4-mini-2026-03-17
        gpt-5.4-mini-2026-03-17 gpt-5.4-nano=gpt-5.4-nano-2026-03-17 gpt-5.4-nano-2026-03-17
        gpt-5.5=gpt-5.5-2026-04-23 gpt-5.5-2026-04-23 gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna
        gpt-6-sol gpt-6-luna gpt-6-astra gpt-6.1-sol gpt-6.1-terra gpt-6.2-sol gpt-6.2-astra
        o1=o1-2024-12-17 o1-2024-12-17 o3=o3-2025-04-16 o3-2025-04-16 o3-mini=o3-mini-2025-01-31
        o3-mini-2025-01-31 o4-mini=o4-mini-2025-04-16 o4-mini-2025-04-16
        """,
    "reasoning-pro": """
        o1-pro=o1-pro-2025-03-19 o1-pro-2025-03-19 o3-pro=o3-pro-2025-06-10 o3-pro-2025-06-10
        gpt-5-pro=gpt-5-pro-2025-10-06 gpt-5-pro-2025-10-06 gpt-5.2-pro=gpt-5.2-pro-2025-12-11
        gpt-5.2-pro-2025-12-11 gpt-5.5-pro=gpt-5.5-pro-2026-04-23 gpt-5.5-pro-2026-04-23
        gpt-5.4-pro=gpt-5.4-pro-2026-03-05 gpt-5.4-pro-2026-03-05 gpt-5-codex gpt-5.1-codex gpt-5.1-codex-max
        gpt-5.1-codex-mini gpt-5.2-codex gpt-5.3-codex codex-mini-latest
        o3-deep-research=o3-deep-research-2025-06-26 o3-deep-research-2025-06-26
        o4-mini-deep-research=o4-mini-deep-research-2025-06-26 o4-mini-deep-research-2025-06-26
        computer-use-preview=computer-use-preview-2025-03-11 computer-use-preview-2025-03-11
        """,
    "completion": """
        gpt-3.5-turbo-instruct=gpt-3.5-turbo-instruct:20230824-v2 gpt-3.5-turbo-instruct-0914
        babbage-002 davinci-002
        """,
    "embedding": "text-embedding-3-small text-embedding-3-large text-embedding-ada-002",
    "moderation": """
        omni-moderation-latest omni-moderation-2024-09-26 text-moderation-latest=text-moderation-007
        text-moderation-stable=text-moderation-007 text-moderation-007
        """,
    "image": """
        gpt-image-1 gpt-image-1-mini gpt-image-1.5 gpt-image-2=gpt-image-2-2026-04-21 gpt-image-2-2026-04-21
        gpt-image-2.5-sunburst=gpt-image-2.5-sunburst-2026-09-08 gpt-image-2.5-sunburst-2026-09-08
        gpt-image-2.5-flare=gpt-image-2.5-flare-2026-09-08 gpt-image-2.5-flare-2026-09-08
        gpt-image-2.6-sunburst gpt-image-2.6-flare chatgpt-image-latest dall-e-2 dall-e-3
        """,
    "speech": "tts-1 tts-1-1106 tts-1-hd tts-1-hd-1106 gpt-4o-mini-tts gpt-4o-mini-tts-2025-03-20 "
    "gpt-4o-mini-tts-2025-12-15",
    "transcription": """
        whisper-1 gpt-transcribe gpt-4o-transcribe gpt-4o-mini-transcribe gpt-4o-mini-transcribe-2025-03-20
        gpt-4o-mini-transcribe-2025-12-15 gpt-4o-transcribe-diarize
        """,
    "realtime": """
        gpt-4o-realtime-preview gpt-4o-realtime-preview-2024-12-17 gpt-4o-realtime-preview-2025-06-03
        gpt-4o-mini-realtime-preview gpt-4o-mini-realtime-preview-2024-12-17 gpt-realtime gpt-realtime-2025-08-28
        gpt-realtime-mini gpt-realtime-mini-2025-10-06 gpt-realtime-mini-2025-12-15 gpt-realtime-1.5
        gpt-realtime-2 gpt-realtime-2.1 gpt-realtime-2.1-mini gpt-realtime-whisper
        gpt-live-transcribe
        """,
    "translation": "gpt-realtime-translate",
    "live": "gpt-live-1",
    "video": "sora-2 sora-2-pro",
}

_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
CHAT_KINDS = ("chat", "audio-chat", "reasoning")
RESPONSES_KINDS = ("chat", "reasoning", "reasoning-pro")

FINE_TUNED = "fine-tuned-models"  # the store of models that fine-tuning made


def _rows() -> dict[str, Model]:
    rows = {}
    for kind, names in _NAMES.items():
        for entry in names.split():
            name, _, snapshot = entry.partition("=")
            rows[name] = Model(name, kind, snapshot, dimensions=_DIMENSIONS.get(name, 0))
    return rows


MODELS: dict[str, Model] = _rows()


def find(state: State, name: str) -> Model | None:
    """The row of a public model, or of one that the caller fine-tuned."""
    model: Model | None = MODELS.get(name) or owned(state, FINE_TUNED).get(name)
    return model


def require(state: State, name: str, kinds: tuple[str, ...]) -> Model:
    """The row, when one of `kinds`; raises ApiError 404 as OpenAI words it for chat and completions."""
    model = find(state, name)
    if model is None:
        raise model_not_found(name)
    if model.kind in kinds:
        return model
    if "completion" in kinds:
        raise _wrong_endpoint(
            "This is a chat model and not supported in the v1/completions endpoint. Did you mean to use "
            "v1/chat/completions?"
        )
    if model.kind == "reasoning-pro":
        raise _wrong_endpoint("This model is only supported in v1/responses and not in v1/chat/completions.")
    if kinds == CHAT_KINDS:
        raise _wrong_endpoint(
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to "
            "use v1/completions?"
        )
    if kinds == ("embedding",):
        raise ApiError("You are not allowed to generate embeddings from this model", status=403)
    raise ApiError(f"The model `{name}` is not supported with this endpoint.", param="model")


def _wrong_endpoint(message: str) -> ApiError:
    return ApiError(message, status=404, param="model")
