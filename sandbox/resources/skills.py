"""`/v1/skills`: bundles of files with a SKILL.md, in versions."""

import io
import re
import zipfile
from typing import Any

from sandbox.errors import ApiError, missing_parameter
from sandbox.resources.files import download
from sandbox.store import params, stored_files
from sandbox.store.objects import Item, body_or_form, find, items, page, remove
from sandbox.wire.forms import Form, Upload
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

STORE = "skills"
MANIFEST = "SKILL.md"
MAX_MANIFEST = 64 * 1024
_FIELD = re.compile(r"^(name|description):[ \t]*(.+?)[ \t]*$", re.MULTILINE)


async def create(request: Request) -> Answer:
    _, form = await body_or_form(request)
    bundle, about = _bundle(form)
    state = request.app.state
    shape = {
        "id": state.new_id("skill_", 32),
        "object": "skill",
        **about,
        "created_at": state.created(),
        "default_version": "1",
        "latest_version": "0",
    }
    skill = Item(shape)
    _add_version(request, skill, bundle, about)
    return json_response(items(request, STORE).put(skill.id, skill).shape)


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
    shape = {
        "object": "skill.version",
        "id": state.new_id("skillver_", 32),
        "skill_id": skill.id,
        "version": number,
        "created_at": state.created(),
        **about,
    }
    file = stored_files.loose(bundle, f"{about['name']}.zip")
    return skill.within("versions").put(number, Item(shape, file))


async def list_skills(request: Request) -> Answer:
    return page(request, items(request, STORE))


async def retrieve(request: Request) -> Answer:
    return json_response(_skill(request).shape)


async def update(request: Request) -> Answer:
    skill, body = _skill(request), request.json()
    number = params.required(body, "default_version")
    version = find(skill.within("versions"), str(number), "skill version")
    _make_default(skill, version)
    return json_response(skill.shape)


def _make_default(skill: Item, version: Item) -> None:
    shape = version.shape
    skill.shape.update(default_version=shape["version"], name=shape["name"], description=shape["description"])


async def delete(request: Request) -> Answer:
    return remove(items(request, STORE), _skill(request), "skill.deleted")


async def content(request: Request) -> Answer:
    skill = _skill(request)
    return _download(request, find(skill.within("versions"), skill.shape["default_version"], "skill version"))


async def create_version(request: Request) -> Answer:
    skill = _skill(request)
    body, form = await body_or_form(request)
    version = _add_version(request, skill, *_bundle(form))
    if str(body.get("default", "")).lower() == "true":
        _make_default(skill, version)
    return json_response(version.shape)


async def list_versions(request: Request) -> Answer:
    return page(request, _skill(request).within("versions"))


async def retrieve_version(request: Request) -> Answer:
    return json_response(_version(request).shape)


async def delete_version(request: Request) -> Answer:
    skill, version = _skill(request), _version(request)
    number = version.shape["version"]
    if number == skill.shape["default_version"]:
        raise ApiError("The default version of a skill cannot be deleted.", param="version")
    skill.within("versions").pop(number)
    gone: dict[str, Any] = {"object": "skill.version.deleted", "deleted": True, "id": version.id, "version": number}
    return json_response(gone)


async def version_content(request: Request) -> Answer:
    return _download(request, _version(request))


def _download(request: Request, version: Item) -> Answer:
    return download(version.inner, request.header("range"))


def _skill(request: Request) -> Item:
    return find(items(request, STORE), request.params["skill_id"], "skill")


def _version(request: Request) -> Item:
    return find(_skill(request).within("versions"), request.params["version"], "skill version")


_SKILL = "/v1/skills/{skill_id}"
ROUTES = (
    Route("POST", "/v1/skills", create, streamed=True),
    Route("GET", "/v1/skills", list_skills),
    Route("GET", _SKILL, retrieve),
    Route("POST", _SKILL, update),
    Route("DELETE", _SKILL, delete),
    Route("GET", _SKILL + "/content", content),
    Route("POST", _SKILL + "/versions", create_version, streamed=True),
    Route("GET", _SKILL + "/versions", list_versions),
    Route("GET", _SKILL + "/versions/{version}", retrieve_version),
    Route("DELETE", _SKILL + "/versions/{version}", delete_version),
    Route("GET", _SKILL + "/versions/{version}/content", version_content),
)
