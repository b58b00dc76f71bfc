"""`/v1/audio/voices` and `/v1/audio/voice_consents`: custom voices, of which only the names are kept."""

from typing import Any

from sandbox.errors import ApiError, missing_parameter
from sandbox.store import paging
from sandbox.store.owned_objects import shelf
from sandbox.store.upload_limits import check_size, read_form
from sandbox.wire.forms import Form
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

VOICES, CONSENTS = "voices", "voice consents"
AUDIO_TYPES = (
    *("audio/mpeg", "audio/wav", "audio/x-wav", "audio/ogg", "audio/aac", "audio/flac", "audio/webm", "audio/mp4"),
)


def require(request: Request, voice_id: str) -> str:
    """The id of a voice that the key made; raises ApiError 404 for another."""
    if shelf(request, VOICES).get(voice_id) is None:
        raise ApiError(f"Voice with id '{voice_id}' not found.", status=404, param="voice")
    return voice_id


def _field(form: Form, name: str) -> str:
    if not form.get(name):
        raise missing_parameter(name)
    return form.get(name)


def _check_recording(request: Request, form: Form, name: str) -> None:
    upload = form.require_file(name)
    check_size(request, upload)
    if upload.content_type not in AUDIO_TYPES:
        raise ApiError(
            f"Invalid file '{name}': unsupported mimetype ('{upload.content_type}').",
            param=name,
            code="unsupported_file_mimetype",
        )


async def create_voice(request: Request) -> Answer:
    form = await read_form(request)
    name = _field(form, "name")
    _find(request, _field(form, "consent"), "consent")
    _check_recording(request, form, "audio_sample")
    state = request.app.state
    voice_id = state.new_id("voice_")
    made = {"object": "audio.voice", "id": voice_id, "name": name, "created_at": state.created()}
    return json_response(shelf(request, VOICES).put(voice_id, made))


async def delete_voice(request: Request) -> Answer:
    voice_id = require(request, request.params["voice_id"])
    shelf(request, VOICES).pop(voice_id)
    return json_response({"id": voice_id, "object": "audio.voice", "deleted": True})


async def create_consent(request: Request) -> Answer:
    form = await read_form(request)
    name, language = _field(form, "name"), _field(form, "language")
    _check_recording(request, form, "recording")
    state = request.app.state
    consent_id = state.new_id("cons_")
    made = {
        "object": "audio.voice_consent",
        "id": consent_id,
        "name": name,
        "language": language,
        "created_at": state.created(),
    }
    return json_response(shelf(request, CONSENTS).put(consent_id, made))


def _find(request: Request, consent_id: str, param: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] | None = shelf(request, CONSENTS).get(consent_id)
    if found is None:
        raise ApiError(f"Voice consent with id '{consent_id}' not found.", status=404, param=param)
    return found


async def list_consents(request: Request) -> Answer:
    return json_response(paging.page(list(shelf(request, CONSENTS)), request.query()))


async def retrieve_consent(request: Request) -> Answer:
    return json_response(_find(request, request.params["consent_id"]))


async def update_consent(request: Request) -> Answer:
    found = _find(request, request.params["consent_id"])
    name = request.json().get("name")
    if not isinstance(name, str) or not name:
        raise missing_parameter("name")
    found["name"] = name
    return json_response(found)


async def delete_consent(request: Request) -> Answer:
    found = _find(request, request.params["consent_id"])
    shelf(request, CONSENTS).pop(found["id"])
    return json_response({"id": found["id"], "object": "audio.voice_consent", "deleted": True})


ROUTES = (
    Route("POST", "/v1/audio/voices", create_voice, streamed=True),
    Route("DELETE", "/v1/audio/voices/{voice_id}", delete_voice),
    Route("POST", "/v1/audio/voice_consents", create_consent, streamed=True),
    Route("GET", "/v1/audio/voice_consents", list_consents),
    Route("GET", "/v1/audio/voice_consents/{consent_id}", retrieve_consent),
    Route("POST", "/v1/audio/voice_consents/{consent_id}", update_consent),
    Route("DELETE", "/v1/audio/voice_consents/{consent_id}", delete_consent),
)
