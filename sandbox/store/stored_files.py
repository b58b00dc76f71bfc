"""What uploaded and produced files are, apart from the routes that show them."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from sandbox.errors import ApiError, invalid_value
from sandbox.misbehaviour.job_switches import Switches
from sandbox.state import State, Store
from sandbox.store import params
from sandbox.store.auth import owned
from sandbox.store.objects import Item
from sandbox.store.params import Body

PATH = "/v1/files"
SPOOL_BYTES = 256 * 1024
CHUNK = 64 * 1024
MIN_EXPIRY, MAX_EXPIRY = 3600, 30 * 86_400  # seconds
ID_PREFIX = "file-"

PURPOSES = ("fine-tune", "assistants", "batch", "user_data", "vision", "evals")
# purpose: the API that its message names; these take JSON lines only
_OF_LINES = {"fine-tune": "Fine-Tuning", "batch": "Batch"}


@dataclass(slots=True, kw_only=True)
class StoredFile(Item):
    """One file; `content` is an unnamed file on disk, or in memory while it is small."""

    content: BinaryIO
    switches: Switches = field(default_factory=Switches)

    @property
    def size(self) -> int:
        return int(self.shape["bytes"])

    def has_expired(self, now: float) -> bool:
        return "expires_at" in self.shape and now >= self.shape["expires_at"]

    def read(self, start: int = 0, length: int = -1) -> bytes:
        # Several readers share the file, so each says where it is.
        self.content.seek(start)
        return self.content.read(length)

    def lines(self) -> Iterator[bytes]:
        """The lines without their ends; the last one may have none."""
        rest, at = b"", 0
        while piece := self.read(at, CHUNK):
            at += len(piece)
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
        if rest:
            yield rest


def new_content() -> BinaryIO:
    """An empty place for content, which is deleted when it is no longer referenced."""
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))


def keep(
    state: State,
    content: BinaryIO,
    filename: str,
    purpose: str,
    *,
    expires_in: int | None = None,
    switches: Switches | None = None,
) -> StoredFile:
    """Stores a file of the caller's with `content`. `expires_in` is in seconds; a batch's input expires in any case."""
    if expires_in is None and purpose == "batch":
        expires_in = MAX_EXPIRY
    now = state.created()
    shape: dict[str, Any] = {
        "object": "file",
        "id": state.new_id(ID_PREFIX),
        "purpose": purpose,
        "filename": filename,
        "bytes": content.seek(0, 2),
        "created_at": now,
        "status": "processed",
    }
    if expires_in is not None:
        shape["expires_at"] = now + expires_in
    return files(state).put(shape["id"], StoredFile(shape, content=content, switches=switches or Switches()))


def loose(data: bytes, filename: str) -> StoredFile:
    """A file outside the caller's list, for what belongs to another object."""
    content = new_content()
    content.write(data)
    return StoredFile({"id": "", "bytes": len(data), "filename": filename}, content=content)


def keep_bytes(state: State, data: bytes, filename: str, purpose: str) -> StoredFile:
    return keep(state, loose(data, filename).content, filename, purpose)


def files(state: State) -> Store[str, StoredFile]:
    """The caller's files, oldest first, also those that have expired."""
    return owned(state, PATH)


def missing(file_id: str, status: int = 404, param: str = "id") -> ApiError:
    return ApiError(f"No such File object: {file_id}", status=status, param=param)


def find(state: State, file_id: str, param: str = "id", status: int = 404) -> StoredFile:
    """The caller's file; raises ApiError with `status` for an unknown or expired one."""
    stored = files(state).get(file_id)
    if stored is None or stored.has_expired(state.now()):
        raise missing(file_id, status, param)
    return stored


def of_purpose(state: State, body: Body, name: str, purpose: str) -> StoredFile:
    """The file that a body's field names; raises ApiError 400 for none, or for one with another purpose."""
    stored = find(state, params.string(body, name), name, 400)
    if stored.shape["purpose"] != purpose:
        raise ApiError(
            f"Invalid file purpose: '{stored.shape['purpose']}'. The file in '{name}' must be uploaded with the "
            f"purpose '{purpose}'.",
            param=name,
            code="invalid_file_purpose",
        )
    return stored


def check_purpose(purpose: str, filename: str) -> None:
    """Raises ApiError 400 for a purpose that does not exist, or that wants another format."""
    if purpose not in PURPOSES:
        raise ApiError(f"'{purpose}' is not one of {list(PURPOSES)} - 'purpose'")
    if purpose in _OF_LINES and not filename.lower().endswith(".jsonl"):
        raise ApiError(f"Invalid file format for {_OF_LINES[purpose]} API. Must be .jsonl")


def expires_in(body: Body, name: str = "expires_after") -> int | None:
    """The seconds of `{"anchor": "created_at", "seconds": N}` in a body; raises ApiError 400 for anything else."""
    expiry = params.mapping(body, name)
    if not expiry:
        return None
    if expiry.get("anchor") != "created_at":
        raise invalid_value(f"{name}.anchor", expiry.get("anchor"), "'created_at'")
    params.required(expiry, f"{name}.seconds")
    seconds = params.integer(expiry, f"{name}.seconds") or 0
    if not MIN_EXPIRY <= seconds <= MAX_EXPIRY:
        raise ApiError(
            f"Invalid '{name}.seconds': expected a value from {MIN_EXPIRY} to {MAX_EXPIRY}, but got {seconds}.",
            param=f"{name}.seconds",
            code="invalid_value",
        )
    return seconds
