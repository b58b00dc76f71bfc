"""The input of a batch, checked as it streams by: JSON lines, unique custom ids, one endpoint, models the caller may
use.

Memory stays bounded: a line is held until it is whole, of custom ids a digest is kept.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec

from accounts.caller import Caller
from gateway.access import default_models, named_models, vendor_names
from gateway.body.json import decode_fields, is_true
from gateway.body.references import find_references
from gateway.call.errors import CallError, InvalidRequest, code_of
from gateway.objects.operations import BATCH_LINES, IMAGE_EDIT
from providers.snapshot import AccountSnapshot

MAX_LINES = 50_000
MAX_LINE_BYTES = 16 * 2**20
MAX_CUSTOM_ID = 512
MAX_MODELS = 100
DIGEST_BYTES = 16
LINE_FORM = 'A line is like {"custom_id": "a", "method": "POST", "url": "/v1/...", "body": {...}}.'
# The endpoints of batches, and what a model must be registered for there.
ENDPOINTS: dict[str, str] = {
    "/v1/responses": "responses",
    "/v1/chat/completions": "chat",
    "/v1/completions": "completion",
    "/v1/embeddings": "embedding",
    "/v1/moderations": "moderation",
    "/v1/images/generations": "image",
    "/v1/images/edits": "image",
}
# Image edits name images by upload, which a line run by Gatehouse can't.
VENDORS_ONLY = frozenset({"/v1/images/edits"})
# What goes on, or is kept, where no one looks after it when a line is run by Gatehouse.
NOT_HERE = ("background", "store")
OPERATIONS = {**BATCH_LINES, "/v1/images/edits": IMAGE_EDIT}


class Line(msgspec.Struct):
    """One request of a batch."""

    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


@dataclass(slots=True)
class Summary:
    """What a valid input says.

    ``models`` maps the vendor's names to the public ones; ``references``: lines mention objects.
    """

    lines: int = 0
    endpoint: str = ""
    models: dict[str, str] = field(default_factory=dict)
    references: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data, for the file's record."""
        return {name: getattr(self, name) for name in self.__slots__}  # type: ignore[attr-defined]


_line = msgspec.json.Decoder(Line)
_text = msgspec.json.Decoder(str)
_stream = msgspec.json.Decoder(bool | None)


class InputCheck:
    """Checks an input file piece by piece: :meth:`feed` it, then :meth:`finish`. Both raise an error that names the
    line.

    ``own``: the batch is for Gatehouse to run, so its models need no batches of the vendor's. What the lines mention
    waits in ``mentioned`` as ``(line, field, id)`` until someone who can look it up takes it.
    """

    def __init__(self, caller: Caller, account: AccountSnapshot, param: str = "file", *, own: bool = False) -> None:
        self.summary = Summary()
        self.mentioned: list[tuple[int, str, str]] = []
        self._caller = caller
        self._account = account
        self._param = param
        self._own = own
        self._kinds = () if own else ("batch",)
        self._number = 0
        self._rest = bytearray()
        self._ids: set[bytes] = set()

    def feed(self, data: bytes) -> None:
        """Take the next piece of the file."""
        end = data.rfind(b"\n")
        if end < 0:
            self._rest += data
        else:
            whole = bytes(self._rest) + data[: end + 1]
            self._rest = bytearray(data[end + 1 :])
            for text in whole.split(b"\n")[:-1]:
                self._take(text)
        if len(self._rest) > MAX_LINE_BYTES:
            self._number += 1
            raise self.fault(f"It is longer than {MAX_LINE_BYTES} bytes.", "line_too_long")

    def finish(self) -> Summary:
        """Take the end of the file and return what it says."""
        if self._rest:
            self._take(bytes(self._rest))
            self._rest.clear()
        if not self.summary.lines:
            raise InvalidRequest("The batch input file is empty.", param=self._param, code="empty_file")
        return self.summary

    def take_mentioned(self) -> list[tuple[int, str, str]]:
        """Return what waits in ``mentioned`` and forget it."""
        waiting, self.mentioned = self.mentioned, []
        return waiting

    def fault(self, why: str, code: str, line: int = 0) -> InvalidRequest:
        """Return the error about a line; the present one by default."""
        message = f"Line {line or self._number} of the batch input: {why}"
        return InvalidRequest(message, param=self._param, code=code)

    def _take(self, text: bytes) -> None:
        self._number += 1
        if not text.strip():
            return
        self.summary.lines += 1
        if self.summary.lines > MAX_LINES:
            raise self.fault(f"A batch has at most {MAX_LINES} requests.", "too_many_tasks")
        line, fields = self._read(text)
        self._check_custom_id(line.custom_id)
        self._check_url(line)
        self._check_body(line, fields)

    def _read(self, text: bytes) -> tuple[Line, dict[str, msgspec.Raw]]:
        """Return a line and the fields of its body. Both are refused where another reader could see other values."""
        try:
            line = _line.decode(text)
            decode_fields(text)
            return line, decode_fields(bytes(line.body))
        except msgspec.ValidationError as error:
            raise self.fault(f"{error}. {LINE_FORM}", "invalid_line") from None
        except InvalidRequest as error:
            code = "invalid_line" if error.code == "invalid_json" else error.code
            raise self.fault(error.message, code or "invalid_line") from None
        except UnicodeDecodeError:
            raise self.fault("It is not valid UTF-8.", "invalid_encoding") from None
        except (ValueError, RecursionError):
            raise self.fault("It is not valid JSON.", "invalid_json_line") from None

    def _check_custom_id(self, custom_id: str) -> None:
        if not 0 < len(custom_id) <= MAX_CUSTOM_ID:
            raise self.fault(f"'custom_id' must have 1 to {MAX_CUSTOM_ID} characters.", "invalid_custom_id")
        mark = blake2b(custom_id.encode("utf-8", "replace"), digest_size=DIGEST_BYTES).digest()
        if mark in self._ids:
            raise self.fault(f"The custom_id {custom_id[:100]!r} appears twice in the file.", "duplicate_custom_id")
        self._ids.add(mark)

    def _check_url(self, line: Line) -> None:
        if line.method != "POST":
            raise self.fault(f"The method must be 'POST', not {line.method[:40]!r}.", "invalid_method")
        if line.url not in ENDPOINTS:
            raise self.fault(f"The url must be one of {', '.join(ENDPOINTS)}, not {line.url[:80]!r}.", "invalid_url")
        self.summary.endpoint = self.summary.endpoint or line.url
        if line.url != self.summary.endpoint:
            raise self.fault(
                f"Its url is {line.url!r}, but the lines before it are for {self.summary.endpoint!r}.", "mismatched_url"
            )

    def _check_body(self, line: Line, fields: dict[str, msgspec.Raw]) -> None:
        try:
            name = _text.decode(fields["model"]) if "model" in fields else self._default_model(line.url)
            streams = _stream.decode(fields["stream"]) if "stream" in fields else False
            references = find_references(bytes(line.body), fields, line.url.removeprefix("/v1/"))
            named_models.check_configuration(self._caller, self._account, fields)
            _, named = named_models.for_account(self._caller, self._account, fields, sent_as_is=True)
            references += named_models.references_to(named)
        except msgspec.DecodeError:
            raise self.fault("'model' must be a string, 'stream' a boolean.", "invalid_line") from None
        except CallError as error:
            code = "invalid_line" if error.code == "invalid_json" else code_of(error)
            raise self.fault(error.message, code) from None
        if streams:
            raise self.fault("Batches do not stream: leave out 'stream'.", "stream_not_supported")
        for field_name in NOT_HERE if self._own else ():
            if is_true(fields.get(field_name)):
                raise self.fault(f"Batches that Gatehouse runs take no {field_name!r}.", "unsupported_parameter")
        if name not in self.summary.models:
            self._add_model(name, line.url)
        if references or named:  # whether the caller may use them is asked again when the batch is created
            self.summary.references = True
            self.mentioned += [(self._number, field_name, object_id) for field_name, object_id in references]

    def _default_model(self, url: str) -> str:
        """Return the vendor's name for the model of a line that names none, empty when it has none.

        Lines that Gatehouse runs get the account's default; a file that goes to the vendor as it is, the vendor's own.
        """
        operation = OPERATIONS[url]
        if not operation.unnamed:
            return ""
        if self._own:
            return default_models.choose(self._caller, operation, self._account.name).model.upstream_id
        return default_models.vendors_name(self._account, operation)

    def _add_model(self, name: str, url: str) -> None:
        if not name:
            raise self.fault("Its body names no 'model'.", "missing_model")
        if len(self.summary.models) >= MAX_MODELS:
            raise self.fault(f"The file names more than {MAX_MODELS} models.", "too_many_models")
        try:
            target = vendor_names.resolve(self._caller, self._account, name, ENDPOINTS[url], *self._kinds)
        except CallError as error:
            raise self.fault(error.message, error.code or "model_not_found") from None
        self.summary.models[name] = target.model.public_name
        if vendor_names.is_fine_tuned(target):
            self.mentioned.append((self._number, "model", name))


def check_again(
    caller: Caller, account: AccountSnapshot, summary: dict[str, Any], endpoint: str, *, own: bool = False
) -> Summary:
    """Return what a file's record says of it, when the caller may still use its models; raise as the check itself
    does.
    """
    known = Summary(**summary)
    for name in known.models:
        try:
            vendor_names.resolve(caller, account, name, ENDPOINTS[known.endpoint], *(() if own else ("batch",)))
        except CallError as error:
            raise InvalidRequest(
                f"The batch input: {error.message}", param="input_file_id", code=error.code or "model_not_found"
            ) from None
    check_endpoint(known, endpoint)
    return known


def check_endpoint(summary: Summary, endpoint: str) -> None:
    """Raise unless the batch's ``endpoint`` is that of its lines."""
    if endpoint != summary.endpoint:
        raise InvalidRequest(
            f"The lines of the input file are for {summary.endpoint!r}, but the batch's endpoint is {endpoint[:80]!r}.",
            param="endpoint",
            code="mismatched_endpoint",
        )
