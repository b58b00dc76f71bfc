"""Reading manifests: YAML with several documents, or JSON, into plain mappings, and the faults that are found on the
way.

The YAML read here is YAML 1.2's core: ``yes``, ``on`` and dates are strings, numbers keep every digit, and a key that
appears twice is a fault instead of a surprise.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

MAX_CHARACTERS = 10_000_000
MAX_DEPTH = 50
# JSON and YAML can spell them, but no database takes them: NUL, and halves of pairs, which are not characters.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in a manifest: where, and what to do. ``document`` counts from 1; 0 is the file itself."""

    source: str
    document: int
    path: str
    problem: str

    def __str__(self) -> str:
        place = self.source + (f", document {self.document}" if self.document else "")
        return f"{place}{', ' + self.path if self.path else ''}: {self.problem}"


class ManifestError(Exception):
    """Manifests that can't be applied: all faults that were found. Nothing was written."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, slots=True)
class Document:
    """One manifest of a file."""

    source: str
    index: int
    body: dict[Any, Any]


class _Twice(yaml.YAMLError):
    """A key that appears twice in one mapping."""


# The parser in C reads a thousand accounts in a second; Python's takes half a minute.
_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):  # type: ignore[misc]
    """PyYAML's safe loader with the core types of YAML 1.2, without duplicate keys and deep nesting.

    Raises ``RecursionError`` for what is nested too deeply: the loader in C would take the process down.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}
    _depth = 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:  # the value within counts as well
            raise RecursionError

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in getattr(node, "value", ()):
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise _Twice(f"{key.value!r} appears twice in line {key.start_mark.line + 1}; keep one of them")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal:
    return Decimal(loader.construct_scalar(node))


# Each is a subset of what PyYAML's dumper quotes, so that a string that was dumped is read as a string again.
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"^(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?$", "-+.0123456789"),
    ("merge", r"^<<$", "<"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:float", _decimal)


def read_documents(sources: Iterable[tuple[str, str]]) -> list[Document]:
    """Return the manifests of ``sources``, pairs of a file's name and its text. Raises :class:`ManifestError`.

    A document that is a list counts as several manifests; an empty one is passed over.
    """
    documents: list[Document] = []
    faults: list[Fault] = []
    for source, text in sources:
        try:
            bodies = _bodies(text)
        except (ValueError, yaml.YAMLError, RecursionError) as error:
            faults.append(Fault(source, 0, "", _problem(error)))
            continue
        plain = "\\" not in text and UNSTORABLE.search(text) is None  # what is odd is escaped, or there
        for index, body in enumerate(bodies, 1):
            if not plain:
                faults.extend(
                    Fault(source, index, path, f"holds {spelled}, which no string may hold.")
                    for path, spelled in _odd_texts(body)
                )
            if isinstance(body, dict):
                documents.append(Document(source, index, body))
            else:
                faults.append(
                    Fault(source, index, "", "is not a manifest: write fields with values, 'type' among them.")
                )
    if faults:
        raise ManifestError(faults)
    return documents


def _odd_texts(body: Any) -> Iterator[tuple[str, str]]:
    """Yield the path of each string that can't be stored, and what is wrong in it, spelled out."""
    left: list[tuple[str, Any]] = [("", body)]
    seen: set[int] = set()  # an anchor of YAML may appear in many places, even within itself
    while left:
        path, value = left.pop()
        if isinstance(value, str):
            odd = UNSTORABLE.search(value)
            if odd:
                yield path, f"\\u{ord(odd[0]):04x}"
        elif isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, list):
                left.extend((f"{path}[{number}]", entry) for number, entry in enumerate(value))
                continue
            left.extend((path, key) for key in value)
            left.extend((f"{path}.{key}" if path else str(key), entry) for key, entry in value.items())


def _bodies(text: str) -> list[Any]:
    if len(text) > MAX_CHARACTERS:
        raise ValueError("the file is larger than 10 MB")
    loaded = None
    if text.lstrip()[:1] in ("{", "["):
        try:
            loaded = [json.loads(text, parse_float=Decimal, object_pairs_hook=_object)]
        except json.JSONDecodeError:
            pass  # YAML in one line looks alike
    if loaded is None:
        loaded = list(yaml.load_all(text, Loader=_Loader))
    bodies: list[Any] = []
    for body in loaded:
        bodies.extend(body if isinstance(body, list) else [body])
    return [body for body in bodies if body is not None]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise _Twice(f"{key!r} appears twice in one object; keep one of them")
        made[key] = value
    return made


def _problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deeply."
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"is not valid YAML: {getattr(error, 'problem', None) or 'unreadable'} in line {mark.line + 1}."
    return f"can't be read: {error}."
