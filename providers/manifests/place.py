"""Places within manifests, for faults and notes that name file, document and path; and the variables that strings may
name.

Every string may name environment variables as ``${NAME}``; ``$${`` is a plain ``${``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from providers.manifests.read import Document, Fault

VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")


@dataclass(slots=True)
class Reading:
    """What is shared while manifests are read: the environment, and the faults and notes found so far.

    ``settled`` holds the faults of reading while things are written: what follows from one of them is not reported
    again.
    """

    environment: Mapping[str, str]
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    settled: tuple[Fault, ...] = ()

    def add(self, fault: Fault) -> None:
        """Note a fault, unless its place, or what is around or within it, is known to be wrong already."""
        if not any(_one_follows(fault, known) for known in self.settled):
            self.faults.append(fault)

    def settle(self) -> None:
        """Take what is known to be wrong so far as the reason of what will be found next."""
        self.settled = tuple(self.faults)


def _one_follows(one: Fault, other: Fault) -> bool:
    if (one.source, one.document) != (other.source, other.document):
        return False
    short, long = sorted((one.path, other.path), key=len)
    return short == long or (short != "" and long.startswith((f"{short}.", f"{short}[")))


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of a manifest: its ``value``, or the unset variable that names it."""

    value: str | None = field(default=None, repr=False)
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A path of a document."""

    reading: Reading
    document: Document
    path: str = ""

    def get(self, *steps: str | int) -> "Place":
        """Return the place at ``steps`` from here: names of fields and numbers of entries."""
        path = self.path
        for step in steps:
            path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
        return Place(self.reading, self.document, path)

    def fault(self, problem: str) -> None:
        """Note what is wrong here."""
        self.reading.add(Fault(self.document.source, self.document.index, self.path, problem))

    def note(self, text: str) -> None:
        """Note something for the operator that is not a fault."""
        self.reading.notes.append(str(Fault(self.document.source, self.document.index, self.path, text)))


@dataclass(frozen=True, slots=True)
class Unset:
    """Replaces a string that names a variable which is not set."""

    variable: str


class Broken:
    """Replaces a string that is a fault already."""


Steps = tuple["Steps", str | int] | None
"""The way to a value, from its end: where it is, and its name or number there."""


def filled(value: Any, place: Place, memo: dict[int, Any] | None = None, steps: Steps = None) -> Any:
    """Return ``value`` (a document, or what it holds, at ``steps`` below ``place``) with the variables of its strings
    filled in.

    A string with an unset variable becomes :class:`Unset`, one with a faulty variable :class:`Broken`; names of fields
    are strings afterwards. What an anchor repeats is filled once, so that a few lines can't grow without bound.
    """
    memo = {} if memo is None else memo
    if isinstance(value, str):
        return _filled(value, _at(place, steps)) if "${" in value else value
    if isinstance(value, dict):
        if id(value) in memo:
            return memo[id(value)]
        mapping: dict[str, Any] = {}
        memo[id(value)] = mapping
        for name, entry in value.items():
            mapping[str(name)] = filled(entry, place, memo, (steps, str(name)))
        return mapping
    if isinstance(value, list):
        if id(value) in memo:
            return memo[id(value)]
        entries: list[Any] = []
        memo[id(value)] = entries
        for number, entry in enumerate(value):
            entries.append(filled(entry, place, memo, (steps, number)))
        return entries
    return value


def _at(place: Place, steps: Steps) -> Place:
    """Return the place at ``steps`` below ``place``."""
    names: list[str | int] = []
    while steps is not None:
        steps, name = steps
        names.append(name)
    return place.get(*reversed(names))


def _filled(text: str, place: Place) -> str | Unset | Broken:
    unset, broken = "", False

    def fill(match: re.Match[str]) -> str:
        nonlocal unset, broken
        if match[0] == "$${":
            return "${"
        if not match[1]:
            broken = True
        elif match[1] not in place.reading.environment:
            unset = unset or match[1]
        else:
            return place.reading.environment[match[1]]
        return ""

    text = VARIABLE.sub(fill, text)
    if broken:
        place.fault("'${' does not begin a variable here: write ${NAME}, or $${ for a plain '${'.")
        return Broken()
    return Unset(unset) if unset else text


def escape(text: str) -> str:
    """Return ``text`` as a manifest writes it, with no variable in it."""
    return text.replace("${", "$${")
