"""`/v1/audio/transcriptions` and `/v1/audio/translations`: what the sandbox's own speech says, read back."""

import asyncio
from collections.abc import Iterator
from typing import Any

from sandbox.errors import ApiError, invalid_value
from sandbox.media import hearing
from sandbox.misbehaviour import faults
from sandbox.misbehaviour.faults import Faults
from sandbox.model import catalog, english, tokens, transcripts
from sandbox.model.catalog import Model
from sandbox.model.transcripts import Transcript
from sandbox.model.usage import report
from sandbox.store import params
from sandbox.store.upload_limits import check_size, read_form
from sandbox.wire.forms import Form, Upload
from sandbox.wire.messages import Answer, Request, Response, Stream, event, json_response
from sandbox.wire.routing import Route

EXTENSIONS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
MIN_SECONDS = 0.1
DIARIZE_SECONDS = 30  # longer audio needs a chunking strategy to distinguish speakers
AUDIO_TOKENS_PER_SECOND = 10
PLAIN = b"text/plain; charset=utf-8"

_WHISPER = ("json", "text", "srt", "verbose_json", "vtt")
# model: response formats; other models know json and text
_FORMATS = {"whisper-1": _WHISPER, "gpt-4o-transcribe-diarize": ("json", "text", "diarized_json")}
_OTHER_FORMATS = ("json", "text")
_KNOWN = frozenset(
    {
        *("model", "language", "languages", "keywords", "prompt", "response_format", "temperature", "include"),
        *("timestamp_granularities", "stream", "chunking_strategy", "known_speaker_names"),
        "known_speaker_references",
    }
)


async def transcribe(request: Request) -> Answer:
    form = await read_form(request)
    request.read_directives(form.get("prompt"))
    model = _model(request, form)
    wanted = _format(form, model)
    upload = _upload(request, form)
    transcript = await _heard(form, upload)
    diarized = model.id == "gpt-4o-transcribe-diarize"
    if diarized and transcript.seconds > DIARIZE_SECONDS and not _chunked(form):
        raise ApiError("chunking_strategy is required for diarization models", param="chunking_strategy")
    usage = _usage(form, model, transcript, request.faults)
    if _streamed(form) and model.id != "whisper-1":
        return Stream(_events(form, transcript, diarized, usage))
    granularities = form.values("timestamp_granularities") or ["segment"]
    if wanted == "json":
        body: dict[str, Any] = {"text": transcript.text, **_languages(model, transcript)}
        if "logprobs" in form.values("include"):
            body["logprobs"] = transcripts.logprobs(transcript.text)
    elif wanted == "verbose_json":
        body = transcripts.verbose(transcript, "transcribe", granularities)
    elif wanted == "diarized_json":
        body = _diarized(form, transcript)
    else:
        return _text(wanted, transcript)
    return json_response(body if usage is None else {**body, "usage": usage})


def _languages(model: Model, transcript: Transcript) -> dict[str, Any]:
    return {"languages": [{"code": transcript.language}]} if model.id == "gpt-transcribe" else {}


async def translate(request: Request) -> Answer:
    form = await read_form(request)
    request.read_directives(form.get("prompt"))
    model = _model(request, form)
    if model.id != "whisper-1":
        raise ApiError(f"The model '{model.id}' does not support translation. Use 'whisper-1' instead.", param="model")
    wanted = _format(form, model)
    heard = await _heard(form, _upload(request, form))
    transcript = Transcript(english.translate(heard.text), heard.seconds, "en", heard.temperature)
    if wanted == "json":
        return json_response({"text": transcript.text})
    if wanted == "verbose_json":
        return json_response(transcripts.verbose(transcript, "translate", ["segment"]))
    return _text(wanted, transcript)


def _model(request: Request, form: Form) -> Model:
    params.known((name.partition("[")[0] for name in form.fields), _KNOWN)
    name = params.model_name({"model": form.get("model")})
    return catalog.require(request.app.state, name, ("transcription",))


def _format(form: Form, model: Model) -> str:
    wanted = form.get("response_format", "json")
    allowed = _FORMATS.get(model.id, _OTHER_FORMATS)
    if wanted not in allowed:
        if wanted not in (*_WHISPER, "diarized_json"):
            raise invalid_value("response_format", wanted, params.quoted(allowed))
        raise ApiError(
            f"response_format '{wanted}' is not compatible with model '{model.id}'. Use {params.quoted(allowed)} "
            "instead.",
            param="response_format",
            code="unsupported_value",
        )
    granularities = form.values("timestamp_granularities")
    for item in granularities:
        if item not in ("word", "segment"):
            raise invalid_value("timestamp_granularities", item, "'word' and 'segment'")
    if granularities and wanted != "verbose_json":
        raise ApiError(
            "timestamp_granularities requires response_format to be 'verbose_json'.", param="timestamp_granularities"
        )
    if "logprobs" in form.values("include") and (model.id in _FORMATS or wanted != "json"):
        raise ApiError("include 'logprobs' is only supported with response_format 'json'.", param="include")
    return wanted


def _upload(request: Request, form: Form) -> Upload:
    upload = form.require_file("file")
    check_size(request, upload)
    extension = upload.filename.rpartition(".")[2].lower()
    if extension not in EXTENSIONS:
        raise ApiError(f"Invalid file format. Supported formats: {list(EXTENSIONS)}", param="file")
    return upload


def _chunked(form: Form) -> bool:
    return any(name.startswith("chunking_strategy") for name in form.fields)


def _streamed(form: Form) -> bool:
    value = form.get("stream", "false").lower()
    if value not in ("true", "false"):
        raise invalid_value("stream", value, "'true' and 'false'")
    return value == "true"


async def _heard(form: Form, upload: Upload) -> Transcript:
    heard = await asyncio.to_thread(hearing.listen, upload.file)
    if heard.seconds < MIN_SECONDS:
        raise ApiError(
            f"Audio file is too short. Minimum audio length is {MIN_SECONDS} seconds.",
            param="file",
            code="audio_too_short",
        )
    text = heard.text
    if text is None:
        text = f"This recording of {upload.size} bytes was not made by the sandbox."
    return Transcript(faults.strip(text), heard.seconds, form.get("language", "en") or "en", _temperature(form))


def _temperature(form: Form) -> float:
    value = form.get("temperature", "0")
    try:
        return params.number({"temperature": float(value)}, "temperature", 0, 1, 0)
    except ValueError as error:
        raise ApiError(
            f"Invalid type for 'temperature': expected a decimal, but got '{value}' instead.",
            param="temperature",
            code="invalid_type",
        ) from error


def _usage(form: Form, model: Model, transcript: Transcript, wanted: Faults) -> dict[str, Any] | None:
    """By duration for whisper-1 and speakers, by tokens otherwise; None when unwanted."""
    if wanted.no_usage:
        return None
    if model.id in _FORMATS:
        return transcripts.duration_usage(transcript.seconds)
    text = tokens.count(form.get("prompt"))
    parts = {"text_tokens": text, "audio_tokens": int(transcript.seconds * AUDIO_TOKENS_PER_SECOND) + 1}
    made = len(tokens.split(transcript.text))
    return {"type": "tokens"} | report(None, made, wanted.usage, parts, details=("input_token_details", ""))


def _diarized(form: Form, transcript: Transcript) -> dict[str, Any]:
    return {
        "task": "transcribe",
        "duration": round(transcript.seconds, 3),
        "text": transcript.text,
        "segments": list(transcripts.speakers(transcript, form.values("known_speaker_names"))),
    }


def _text(wanted: str, transcript: Transcript) -> Response:
    writers = {"srt": transcripts.srt, "vtt": transcripts.vtt}
    text = writers[wanted](transcript) if wanted in writers else f"{transcript.text}\n"
    return Response(text.encode("utf-8", "replace"), content_type=PLAIN)


def _events(form: Form, transcript: Transcript, diarized: bool, usage: dict[str, Any] | None) -> Iterator[bytes]:
    with_logprobs = "logprobs" in form.values("include")
    if diarized:
        for segment in transcripts.speakers(transcript, form.values("known_speaker_names")):
            for piece in tokens.split(segment["text"]):
                yield event({"type": "transcript.text.delta", "delta": piece, "segment_id": segment["id"]})
            yield event(segment)
    else:
        for piece in tokens.split(transcript.text):
            delta: dict[str, Any] = {"type": "transcript.text.delta", "delta": piece}
            yield event({**delta, "logprobs": transcripts.logprobs(piece)} if with_logprobs else delta)
    done: dict[str, Any] = {"type": "transcript.text.done", "text": transcript.text}
    if with_logprobs:
        done["logprobs"] = transcripts.logprobs(transcript.text)
    if usage is not None and usage["type"] == "tokens":
        done["usage"] = usage
    yield event(done)


ROUTES = (
    Route("POST", "/v1/audio/transcriptions", transcribe, streamed=True),
    Route("POST", "/v1/audio/translations", translate, streamed=True),
)
