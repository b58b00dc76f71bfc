"""`/v1/audio/voices` and `/v1/audio/voice_consents`: custom voices, of which only the names are kept."""

from sandbox.errors import ApiError, missing_parameter
from sandbox.store.collection import Collection
from sandbox.store.objects import Shape
from sandbox.store.params import Body
from sandbox.store.upload_limits import check_size, read_form
from sandbox.wire.forms import Form
from sandbox.wire.messages import Answer, Request

AUDIO_TYPES = (
    *("audio/mpeg", "audio/wav", "audio/x-wav", "audio/ogg", "audio/aac", "audio/flac", "audio/webm", "audio/mp4"),
)


def _check_name(request: Request, shape: Shape, body: Body) -> None:
    if not isinstance(body.get("name"), str) or not body["name"]:
        raise missing_parameter("name")


VOICES = Collection(
    "/v1/audio/voices",
    "voice_",
    "audio.voice",
    missing=lambda voice_id: ApiError(f"Voice with id '{voice_id}' not found.", status=404, param="voice"),
    fields={"name": ""},
    deleted="audio.voice",
)
CONSENTS = Collection(
    "/v1/audio/voice_consents",
    "cons_",
    "audio.voice_consent",
    missing=lambda consent: ApiError(f"Voice consent with id '{consent}' not found.", status=404, param="consent"),
    fields={"name": "", "language": ""},
    complete=_check_name,
    deleted="audio.voice_consent",
)


async def _read(request: Request, recording: str, *names: str) -> dict[str, str]:
    """The fields `names` of a form that has a recording; raises ApiError 400 when something is missing."""
    form = await read_form(request)
    for name in names:
        if not form.get(name):
            raise missing_parameter(name)
    _check_recording(request, form, recording)
    return {name: form.get(name) for name in names}


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
    given = await _read(request, "audio_sample", "name", "consent")
    CONSENTS.find(request, given["consent"])
    return VOICES.answer(request, VOICES.new(request, given))


async def create_consent(request: Request) -> Answer:
    return CONSENTS.answer(request, CONSENTS.new(request, await _read(request, "recording", "name", "language")))


ROUTES = (
    *VOICES.routes("delete", streamed=("create",), create=create_voice),
    *CONSENTS.routes("list retrieve update delete", streamed=("create",), create=create_consent),
)
