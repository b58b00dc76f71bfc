"""A batch's input file: what a line is, and what OpenAI refuses in it."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from sandbox.jobs.work import Breather
from sandbox.model import catalog
from sandbox.state import State
from sandbox.store.stored_files import StoredFile

MAX_LINES = 50_000
MAX_ERRORS = 100
# Endpoints whose lines may leave the model out.
_DEFAULT_MODEL = ("/v1/moderations",)

Error = dict[str, Any]
Fault = tuple[str, str, str | None]  # code, message, param


class Line(NamedTuple):
    """One request of a batch; `number` counts from 1."""

    number: int
    custom_id: str
    url: str
    body: bytes


class _Envelope(msgspec.Struct):
    custom_id: Any = None
    method: Any = None
    url: Any = None
    body: msgspec.Raw = msgspec.Raw()


class _Model(msgspec.Struct):
    model: Any = None


_envelope = msgspec.json.Decoder(_Envelope)
_model = msgspec.json.Decoder(_Model)


def lines(stored: StoredFile) -> Iterator[Line]:
    """The lines of a file that was found good."""
    for number, text in _numbered(stored):
        envelope = _envelope.decode(text)
        yield Line(number, envelope.custom_id, envelope.url, bytes(envelope.body))


def shuffled(ordered: Iterable[Line]) -> Iterator[Line]:
    """The same lines in another order: each eight backwards."""
    group: list[Line] = []
    for line in ordered:
        group.append(line)
        if len(group) == 8:
            yield from reversed(group)
            group = []
    yield from reversed(group)


class Findings(NamedTuple):
    """What was found in an input file: `model` is the one that all lines name, empty when they name none."""

    total: int
    model: str
    errors: list[Error]


async def check(state: State, stored: StoredFile, endpoint: str) -> Findings:
    """Reads the whole file, without holding the event loop for long. Stops after 100 errors."""
    checker, breathe = _Checker(state, endpoint), Breather()
    total = 0
    for number, text in _numbered(stored):
        total += 1
        checker.line(number, text)
        await breathe()
        if total > MAX_LINES:
            checker.errors = [error("too_many_tasks", f"The batch input file has more than {MAX_LINES} requests.")]
            break
        if len(checker.errors) >= MAX_ERRORS:
            break
    if total == 0:
        checker.errors.append(error("empty_file", "The batch input file is empty."))
    return Findings(total, checker.model, checker.errors)


class _Checker:
    """Remembers what lines have in common while it looks at them one by one."""

    def __init__(self, state: State, endpoint: str) -> None:
        self.errors: list[Error] = []
        self.model = ""
        self._state = state
        self._endpoint = endpoint
        self._seen: set[str] = set()

    def line(self, number: int, text: bytes) -> None:
        self.errors += [error(*found, number) for found in self._faults(text)]

    def _faults(self, text: bytes) -> Iterator[Fault]:
        try:
            envelope = _envelope.decode(text)
            body = bytes(envelope.body)
            model = _model.decode(body).model if body.startswith(b"{") else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield "invalid_json_line", "This line is not parseable as valid JSON.", None
            return
        yield from self._custom_id(envelope.custom_id)
        if envelope.method is None:
            yield _missing("method")
        elif envelope.method != "POST":
            yield "invalid_method", f"The method '{envelope.method}' is not supported; use 'POST'.", "method"
        if envelope.url is None:
            yield _missing("url")
        elif envelope.url != self._endpoint:
            message = f"The URL provided for this request does not match the batch endpoint '{self._endpoint}'."
            yield "invalid_url", message, "url"
        if body.startswith(b"{"):
            yield from self._model(model)
        else:
            yield _missing("body")

    def _custom_id(self, custom_id: Any) -> Iterator[Fault]:
        if custom_id is None or custom_id == "":
            yield _missing("custom_id")
        elif not isinstance(custom_id, str):
            yield "invalid_type", "Invalid type for 'custom_id': expected a string.", "custom_id"
        elif custom_id in self._seen:
            message = (
                f"The custom_id '{custom_id}' for this request is a duplicate of another request. The custom_id "
                "parameter must be unique for each request in a batch."
            )
            yield "duplicate_custom_id", message, "custom_id"
        else:
            self._seen.add(custom_id)

    def _model(self, name: Any) -> Iterator[Fault]:
        if name is None and self._endpoint in _DEFAULT_MODEL:
            return
        if not isinstance(name, str) or not name:
            yield _missing("body.model")
        elif catalog.find(self._state, name) is None:
            message = f"The provided model '{name}' is not supported by the Batch API."
            yield "model_not_found", message, "body.model"
        elif self.model and name != self.model:
            message = (
                f"The model '{name}' for this request does not match the rest of the batch. Each batch must contain "
                "requests for a single model."
            )
            yield "mismatched_model", message, "body.model"
        else:
            self.model = name


def _missing(name: str) -> Fault:
    return "missing_required_parameter", f"Missing required parameter: '{name}'.", name


def error(code: str, message: str, param: str | None = None, line: int | None = None) -> Error:
    """One item of a batch's `errors`."""
    return {"code": code, "message": message, "param": param, "line": line}


def _numbered(stored: StoredFile) -> Iterator[tuple[int, bytes]]:
    for number, text in enumerate(stored.lines(), 1):
        if text.strip():
            yield number, text
