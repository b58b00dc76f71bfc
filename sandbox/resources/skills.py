"""`/v1/skills`: bundles of files with a SKILL.md, in versions."""

import io
import re
import zipfile

from sandbox.errors import ApiError, missing_parameter
from sandbox.resources.files import download
from sandbox.store import params, stored_files
from sandbox.store.collection import Collection
from sandbox.store.objects import Item, body_or_form
from sandbox.wire.forms import Form, Upload
from sandbox.wire.messages import Answer, Request, json_response

MANIFEST = "SKILL.md"
MAX_MANIFEST = 64 * 1024
_FIELD = re.compile(r"^(name|description):[ \t]*(.+?)[ \t]*$", re.MULTILINE)
_ABOUT = ("name", "description")

SKILLS = Collection(
    "/v1/skills",
    "skill_",
    "skill",
    digits=32,
    fields=dict.fromkeys(_ABOUT),
    fixed={"default_version": "1", "latest_version": "0"},
)
VERSIONS = Collection("versions", "skillver_", "skill.version", parent=SKILLS, param="version", digits=32)


async def create(request: Request) -> Answer:
    _, form = await body_or_form(request)
    bundle, about = _bundle(form)
    skill = SKILLS.new(request, about)
    _add_version(request, skill, bundle, about)
    return SKILLS.answer(request, skill)


def _bundle(form: Form) -> tuple[bytes, dict[str, str]]:
    """The uploaded files as one zip, and the name and description that their SKILL.md gives."""
    uploads = form.uploads("files")
    if not uploads:
        raise missing_parameter("files")
    data = uploads[0].read() if _is_zip(uploads) else _zipped(uploads)
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        manifests = [name for name in bundle.namelist() if name.rsplit("/", 1)[-1] == MANIFEST]
        if not manifests:
            raise ApiError(f"A skill needs a {MANIFEST}.", param="files")
        with bundle.open(manifests[0]) as file:
            text = file.read(MAX_MANIFEST).decode("utf-8", "replace")
    found = dict(_FIELD.findall(text))
    for name in ("name", "description"):
        if name not in found:
            raise ApiError(f"{MANIFEST} must begin with a '{name}'.", param="files")
    return data, {"name": found["name"], "description": found["description"]}


def _is_zip(uploads: list[Upload]) -> bool:
    return len(uploads) == 1 and zipfile.is_zipfile(uploads[0].file)


def _zipped(uploads: list[Upload]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as bundle:
        for upload in uploads:
            bundle.writestr(upload.filename, upload.read())
    return made.getvalue()


def _add_version(request: Request, skill: Item, bundle: bytes, about: dict[str, str]) -> Item:
    state = request.app.state
    number = str(int(skill.shape["latest_version"]) + 1)
    skill.shape["latest_version"] = number
    shape = {**VERSIONS.blank(state), "skill_id": skill.id, "version": number, **about}
    file = stored_files.loose(bundle, f"{about['name']}.zip")
    return skill.within(VERSIONS.key).put(number, Item(shape, file))


async def update(request: Request) -> Answer:
    number = params.required(request.json(), "default_version")
    _make_default(SKILLS.find(request), VERSIONS.find(request, number))
    return await SKILLS.retrieve(request)


def _make_default(skill: Item, version: Item) -> None:
    skill.shape.update(default_version=version.shape["version"], **{name: version.shape[name] for name in _ABOUT})


async def content(request: Request) -> Answer:
    default = SKILLS.find(request).shape["default_version"]
    return download(VERSIONS.find(request, default).inner, request.header("range"))


async def create_version(request: Request) -> Answer:
    skill = SKILLS.find(request)
    body, form = await body_or_form(request)
    version = _add_version(request, skill, *_bundle(form))
    if str(body.get("default", "")).lower() == "true":
        _make_default(skill, version)
    return VERSIONS.answer(request, version)


async def delete_version(request: Request) -> Answer:
    skill, version = SKILLS.find(request), VERSIONS.find(request)
    number = version.shape["version"]
    if number == skill.shape["default_version"]:
        raise ApiError("The default version of a skill cannot be deleted.", param="version")
    skill.within(VERSIONS.key).pop(number)
    return json_response({"object": "skill.version.deleted", "deleted": True, "id": version.id, "version": number})


async def version_content(request: Request) -> Answer:
    return download(VERSIONS.find(request).inner, request.header("range"))


_FORM = ("create",)
ROUTES = (
    *SKILLS.routes("list retrieve delete", streamed=_FORM, create=create, update=update, get_content=content),
    *VERSIONS.routes(
        "list retrieve", streamed=_FORM, create=create_version, delete=delete_version, get_content=version_content
    ),
)
