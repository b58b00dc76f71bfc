"""A place within a manifest: it reads and checks values, and notes faults with the path to them.

Every text may name environment variables as ``${NAME}``; ``$${`` stands for a plain ``${``.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from providers.manifests.read import Document, Fault

MISSING: Final = object()
VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")
SECRET_STORE = "tfy-secret://"


@dataclass(slots=True)
class Reading:
    """What is shared while manifests are read: the environment, and the faults and notes found so far.

    ``settled`` holds the faults of reading while things are written: what follows from one of them is not told again.
    """

    environment: Mapping[str, str]
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    settled: tuple[Fault, ...] = ()

    def add(self, fault: Fault) -> None:
        """Note a fault, unless its place, or what is around or within it, is known to be wrong already."""
        if not any(_one_follows(fault, known) for known in self.settled):
            self.faults.append(fault)


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


class Cursor:
    """A value at a path of a document. Its readers return a usable value even when they note a fault."""

    __slots__ = ("document", "path", "reading", "value")

    def __init__(self, reading: Reading, document: Document, value: Any, path: str = "") -> None:
        self.reading = reading
        self.document = document
        self.value = value
        self.path = path

    @property
    def given(self) -> bool:
        """Whether the manifest names it at all, be it ``null``."""
        return self.value is not MISSING

    def fault(self, problem: str) -> None:
        """Note what is wrong here."""
        self.reading.add(Fault(self.document.source, self.document.index, self.path, problem))

    def note(self, text: str) -> None:
        """Note something to tell the operator that is no fault."""
        self.reading.notes.append(str(Fault(self.document.source, self.document.index, self.path, text)))

    def get(self, name: str) -> "Cursor":
        """Return the field ``name`` of a mapping."""
        path = f"{self.path}.{name}" if self.path else name
        value = self.value.get(name, MISSING) if isinstance(self.value, dict) else MISSING
        return Cursor(self.reading, self.document, value, path)

    def mapping(self, known: Iterable[str], passed_over: Mapping[str, str], hints: Mapping[str, str]) -> bool:
        """Check that this is a mapping of ``known`` fields and note the others. Return whether it is a mapping.

        ``passed_over`` are fields that are accepted and ignored, each with what is told about it; ``hints`` say what to
        write instead of others.
        """
        if not isinstance(self.value, dict):
            self.fault("Write fields with values here.")
            return False
        known = list(known)
        for name in self.value:
            if name in passed_over:
                self.get(name).note(f"passed over: {passed_over[name]}")
            elif name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                mend = hints.get(name) or (f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(known)}.")
                self.fault(f"unknown field {str(name)!r}. {mend}")
        return True

    def items(self) -> list["Cursor"]:
        """Return the entries of a list; none when it is missing or ``null``."""
        if not self.given or self.value is None:
            return []
        if not isinstance(self.value, list):
            self.fault("Write a list here.")
            return []
        return [Cursor(self.reading, self.document, v, f"{self.path}[{i}]") for i, v in enumerate(self.value)]

    def text(self, default: str = "", *, required: bool = False) -> str:
        """Return a text with its variables filled in, or ``default``."""
        if not self.given or self.value is None:
            if required:
                self.fault("is missing.")
            return default
        if not isinstance(self.value, str):
            self.fault("Write a text here; put it in quotes if it looks like a number.")
            return default
        filled, unset = self._filled(self.value)
        if unset:
            self.fault(f"the environment variable {unset} is not set.")
            return default
        if required and not filled.strip():
            self.fault("is empty.")
        return filled

    def texts(self) -> list[str]:
        """Return a list of texts, each once, in order."""
        return list(dict.fromkeys(item.text(required=True) for item in self.items()))

    def choices(self, known: Iterable[str]) -> list[str]:
        """Return a list of texts that are all in ``known``."""
        known = list(known)
        chosen = []
        for item in self.items():
            word = item.choice(known)
            if word and word not in chosen:
                chosen.append(word)
        return chosen

    def choice(self, known: Iterable[str], default: str = "") -> str:
        """Return a text that is in ``known``, or ``default``."""
        known = list(known)
        word = self.text(default, required=not default)
        if word and word not in known:
            near = difflib.get_close_matches(word, known, n=1)
            self.fault(
                f"{word!r} is not known." + (f" Did you mean {near[0]!r}?" if near else f" Use: {', '.join(known)}.")
            )
            return default
        return word

    def flag(self, default: bool) -> bool:
        """Return a truth value, or ``default``."""
        if not self.given or self.value is None:
            return default
        if not isinstance(self.value, bool):
            self.fault("Write true or false.")
            return default
        return self.value

    def number(self, default: Any = None) -> Decimal | None:
        """Return a number, or ``default``. A text that spells a number counts, for variables."""
        if not self.given or self.value is None:
            return default
        value = self.value
        if isinstance(value, str):
            filled, unset = self._filled(value)
            value = Decimal(filled) if not unset and re.fullmatch(r"-?\d{1,20}(\.\d{1,30})?", filled.strip()) else None
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            self.fault("Write a number.")
            return default
        return Decimal(value)

    def whole(self, default: Any = None) -> int | None:
        """Return a whole number of zero or more, or ``default``."""
        value = self.number(default)
        if value is not None and (value != int(value) or not 0 <= value <= 2**31 - 1):
            self.fault("Write a whole number of zero or more.")
            return default
        return None if value is None else int(value)

    def secret(self) -> Secret:
        """Return a secret: a text, or a variable that may be unset. Faults never show it."""
        if not isinstance(self.value, str) or not self.value.strip():
            self.fault("Write ${NAME} with the name of an environment variable that holds it.")
            return Secret("")
        if SECRET_STORE in self.value:
            self.fault(
                f"secrets of {SECRET_STORE} can't be read here. Put the secret into an environment variable and write ${{NAME}}."
            )
            return Secret("")
        filled, unset = self._filled(self.value)
        if unset:
            return Secret(None, unset)
        if not filled.strip():
            self.fault(
                "the environment variable is set but empty. Give it a value, or unset it to keep what is stored."
            )
        elif not (filled.isascii() and filled.strip().isprintable()):
            self.fault("holds characters that no HTTP header can carry: only printable ASCII works.")
            return Secret("")  # the account's own check needn't say it again
        return Secret(filled.strip())

    def _filled(self, text: str) -> tuple[str, str]:
        """Return ``text`` with its variables filled in, and the first variable that is unset."""
        unset = ""

        def fill(match: re.Match[str]) -> str:
            nonlocal unset
            if match[0] == "$${":
                return "${"
            if not match[1]:
                self.fault("'${' begins no variable here: write ${NAME}, or $${ for a plain '${'.")
                return ""
            if match[1] not in self.reading.environment:
                unset = unset or match[1]
                return ""
            return self.reading.environment[match[1]]

        return VARIABLE.sub(fill, text), unset


def escape(text: str) -> str:
    """Return ``text`` as a manifest writes it, with no variable in it."""
    return text.replace("${", "$${")
