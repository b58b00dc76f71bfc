"""A session's settings: what they are at first, and how an update changes them."""

from typing import Any

from sandbox.errors import ApiError, invalid_type, invalid_value
from sandbox.model import catalog
from sandbox.state import State

Session = dict[str, Any]

PCM = {"type": "audio/pcm", "rate": 24000}
VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "create_response": True,
    "interrupt_response": True,
    "idle_timeout_ms": None,
}
SESSION_SECONDS = 3600
MODALITIES = (["text"], ["audio"])
_OPEN = frozenset({"tools", "tool_choice", "prompt", "tracing", "truncation", "reasoning"})  # replaced as a whole


def realtime(state: State, model: str) -> Session:
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": state.new_id("sess_", 21),
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "Your knowledge cutoff is 2023-10. You are a helpful, witty, and friendly AI.",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": int(state.now()) + SESSION_SECONDS,
        "audio": {
            "input": {"format": PCM, "transcription": None, "noise_reduction": None, "turn_detection": VAD},
            "output": {"format": PCM, "voice": "alloy", "speed": 1.0},
        },
        "include": None,
    }


def transcription(state: State, model: str) -> Session:
    return {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": state.new_id("sess_", 21),
        "expires_at": int(state.now()) + SESSION_SECONDS,
        "include": None,
        "audio": {
            "input": {
                "format": PCM,
                "transcription": {"model": model} if model else None,
                "noise_reduction": None,
                "turn_detection": VAD,
            }
        },
    }


def update(state: State, session: Session, given: Any) -> None:
    """Changes `session` as `session.update` asks; raises ApiError and changes nothing for what OpenAI refuses."""
    if not isinstance(given, dict):
        raise invalid_type("session", "an object", given)
    if given.get("type", session["type"]) != session["type"]:
        raise ApiError("The session's type can't be changed.", param="session.type", code="invalid_value")
    if given.get("model") not in (None, session.get("model")):
        raise ApiError("Cannot update a conversation's model.", param="session.model", code="cannot_update_model")
    for name in given:
        if name not in session and name not in _OPEN:
            raise ApiError(f"Unknown parameter: 'session.{name}'.", param=f"session.{name}", code="unknown_parameter")
    modalities = given.get("output_modalities")
    if modalities is not None and modalities not in MODALITIES:
        raise invalid_value("session.output_modalities", modalities, "['text'], and ['audio']")
    asked = ((given.get("audio") or {}).get("input") or {}).get("transcription")
    if asked:
        catalog.require(state, asked.get("model") or "", ("transcription", "realtime"))
    merged = _merged(session, given)
    detection = ((given.get("audio") or {}).get("input") or {}).get("turn_detection")
    if isinstance(detection, dict) and detection.get("type", "server_vad") == "server_vad":
        merged["audio"]["input"]["turn_detection"] = {**VAD, **detection}
    session.update(merged)


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {
        **old,
        **{name: value if name in _OPEN else _merged(old.get(name), value) for name, value in new.items()},
    }
