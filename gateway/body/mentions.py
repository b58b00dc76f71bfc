"""Everything that a call of an unknown operation mentions: words that could be ids, and names of models.

Only what can be read is taken: JSON, lines of it, forms, and files that are not fields of a call. A vendor may still
read a body in other ways than we do, so nothing here depends on one reading: words are searched in the bytes, too,
and in what they are behind every common escape. What could be read as JSON, and as something else by another parser, is
refused. Pure.
"""

import html
import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from gateway.body import json as json_body
from gateway.body.model_fields import MAX_NAME_CHARACTERS, ROUTING_FIELDS
from gateway.body.readable_types import FORM, check_body_type
from gateway.call.errors import InvalidRequest, UnsupportedMedia
from providers.routing.naming import is_naming

MAX_MENTIONS = 20_000
MAX_NAMES = 1000
MIN_ID_CHARACTERS, MAX_ID_CHARACTERS = 6, 200
PIECE_BYTES, OVERLAP_BYTES = 2**18, 4096
# Encodings in which an ASCII letter is its own byte, but for NULs.
CHARSETS = re.compile(rb"utf-?8|us-ascii|ascii|iso-8859-\d+|latin-?1|windows-125\d|utf-?(?:16|32)(?:le|be)?")
MODEL_PARENTS = frozenset({"model", "models", "deployment", "deployments", "engine", "engines"})

ID_CHARACTERS = string.ascii_letters + string.digits + "_.:-"

_any = msgspec.json.Decoder()
_charset = re.compile(rb";\s*charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
_spaces = bytes(code if chr(code) in ID_CHARACTERS else 32 for code in range(256))
_whole = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*\Z").match
# What distinguishes an id from a word: a digit, or a long tail behind its kind.
_like_id = re.compile(r"(?=.*\d).{6,}|.*[_.:-][A-Za-z0-9]{12,}").fullmatch
_escape = re.compile(
    rb"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|U([0-9a-fA-F]{8})|u\{([0-9a-fA-F]{1,8})\}|([0-7]{3})|([-_.:/])|[nrtbf])"
)
_joined = re.compile(rb"\\\r?\n[ \t]*")
_name_start, _name_end = re.compile(rb"[\w./:@-]*+"), re.compile(rb"[\w./:@-]*+\Z")
_between_commas = re.compile(r"[^,]+").finditer
_separators = re.compile(r"[.:]")
_key_parts = re.compile(r"[\[\].]+")
BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")


@dataclass(slots=True)
class Mentions:
    """What was found. ``ids`` are strings and words that could be ids; ``models`` what naming fields hold, ``routing``
    what fields say that route a call. ``words`` are those around what ``looked_for`` finds (in lower case) where a
    model could be named in any way: in a path, and in what is neither JSON nor a form. ``in_path`` are the places of
    the path that name a model, each by the names that it could be.
    """

    looked_for: re.Pattern[bytes] | None = None
    ids: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    routing: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    in_path: list[tuple[str, ...]] = field(default_factory=list)

    def add_text(self, text: bytes, *, may_name: bool = False) -> None:
        """Take the words of a string that could be ids, and (``may_name``) those that could be models."""
        for start in range(0, len(text), PIECE_BYTES):
            # What a piece cuts is whole in this piece or in the next one. Other threads get their turn in between.
            for form in _forms(text[start : start + PIECE_BYTES + OVERLAP_BYTES]):
                self.ids.update(_ids_among(form))
                if may_name and self.looked_for is not None:
                    for word in _words_around(form.lower(), self.looked_for):
                        self.words.add(word)
                        self._check_names()
            self._check_count()

    def add_value(self, value: Any) -> None:
        """Take the strings and the models of a decoded JSON value. Strings that hold JSON are read, too."""
        pending: list[tuple[Any, set[str] | None]] = [(value, None)]  # with what the fields around it say to do
        while pending:
            node, known = pending.pop()
            if isinstance(node, dict):
                for name, child in node.items():
                    self._add_string(name)
                    if known is not None:
                        self._add_names(known, name)
                    pending.append((child, self._named_by(name, known, top=node is value)))
            elif isinstance(node, list):
                pending.extend((child, known) for child in node)
            elif isinstance(node, str):
                self._add_string(node)
                if known is not None:
                    self._add_names(known, node)
                if node.lstrip()[:1] in ("{", "["):
                    text = node.encode("utf-8", "replace")
                    inner = _decoded(text)
                    if inner is None:
                        self.add_text(text, may_name=True)
                    pending.append((inner, known))
        self._check_count()

    def _named_by(self, field_name: str, known: set[str] | None, *, top: bool) -> set[str] | None:
        """Return where the strings below a field go: what names models does so at any depth."""
        if known is self.models or is_naming(field_name, top=top):
            return self.models
        return self.routing if field_name.casefold() in ROUTING_FIELDS else known

    def add_pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Take the pairs of a query or a form: ``models[]=a`` and ``session[model]=a`` name models."""
        for name, value in pairs:
            parts = [part for part in _key_parts.split(name) if part]
            if any(is_naming(part, top=len(parts) == 1) for part in parts):
                self._add_names(self.models, value)
            for part in (*parts, value):
                self.add_value(part)

    def add_path(self, path: str) -> None:
        """Take what an address names: words of its segments, and models behind ``models/`` and its like."""
        self.add_text(path.encode())
        before, place = "", 0
        for segment in path.split("/"):
            self._add_string(segment)
            if before.lower() in MODEL_PARENTS:
                rest = path[place : place + MAX_NAME_CHARACTERS]
                forms = (segment[:MAX_NAME_CHARACTERS], segment.partition(":")[0][:MAX_NAME_CHARACTERS], rest)
                self.words.update(forms)
                self.in_path.append(forms)
            before, place = segment, place + len(segment) + 1

    def _add_string(self, text: str) -> None:
        if 0 < len(text) <= MAX_ID_CHARACTERS and _whole(text):
            self.ids.add(text)
        looked_for = self.looked_for if len(text) <= MAX_NAME_CHARACTERS else None
        if looked_for is not None and looked_for.search(text.lower().encode("utf-8", "replace")):
            self.words.add(text.strip())
            self._check_names()

    def _add_names(self, known: set[str], text: str) -> None:
        for name in _names(text) if known is self.models else (text,):
            if len(name) <= MAX_NAME_CHARACTERS:
                known.add(name)
                self._check_names()

    def _check_names(self) -> None:
        if len(self.words) + len(self.models) + len(self.routing) > MAX_NAMES:
            raise InvalidRequest(
                f"The call holds more than {MAX_NAMES} different names that could be models'. Send less at a time.",
                code="too_many_values",
            )

    def _check_count(self) -> None:
        if len(self.ids) > MAX_MENTIONS:
            raise InvalidRequest(
                f"The call holds more than {MAX_MENTIONS} different strings that could be ids. Send less at a time.",
                code="too_many_values",
            )


def read_body(mentions: Mentions, raw: bytes, content_type: bytes) -> Any:
    """Take what a body mentions. Return its JSON value, or ``None``. Vendors guess, so that a file may be JSON.

    Takes time for a large one: not for the event loop. Raises :class:`~gateway.call.errors.InvalidRequest` for what
    looks like JSON and is not, and :class:`~gateway.call.errors.UnsupportedMedia` for a type that can't be read and a
    charset that hides letters.
    """
    check_body_type(content_type)
    charset = _charset.search(content_type)
    if charset is not None and charset[1] and CHARSETS.fullmatch(charset[1].lower()) is None:
        raise UnsupportedMedia(f"The charset {charset[1][:40].decode('latin1')!r} is not supported. Send UTF-8.")
    is_form = content_type.lower().startswith(FORM)
    value = None if is_form else _json_value(mentions, raw, content_type)
    if value is None and not content_type.strip() and raw.strip() != b"null":
        raise UnsupportedMedia("The body is not JSON and has no Content-Type: set the one that it has.")
    mentions.add_text(raw, may_name=not (is_form or isinstance(value, dict | list)))
    if is_form:
        mentions.add_pairs(_pairs(raw))
    return value


def _json_value(mentions: Mentions, raw: bytes, content_type: bytes) -> Any:
    value = _decoded(raw)
    if raw.strip() == b"null":
        return None
    if value is not None:
        mentions.add_value(value)
        return value
    if json_body.is_json(content_type):
        raise InvalidRequest("The body is not valid JSON.", code="invalid_json")
    if not _looks_like_json(raw):
        return None
    lines = [_decoded(line) for line in raw.splitlines() if line.strip()]
    if len(lines) < 2 or any(line is None for line in lines):
        raise InvalidRequest(
            "The body begins like JSON, but is not valid JSON in UTF-8, or one value a line: another reader could see "
            "another call than we do.",
            code="invalid_json",
        )
    mentions.add_value(lines)
    return lines


def _looks_like_json(raw: bytes) -> bool:
    """Whether a lenient reader could take text for a JSON object or list: with a byte order mark, in UTF-16, with NaN
    or comments in it.
    """
    bom = next((mark for mark in BOMS if raw.startswith(mark)), b"")
    start = raw[len(bom) :].replace(b"\0", b"").lstrip(b" \t\r\n")
    if start[:2] in (b"//", b"/*", b"#\n") or start[:1] in (b"{", b"["):
        return bool(bom) or b"\0" in raw[:4] or _is_utf8(raw)
    return False


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded(raw: bytes) -> Any:
    """Return a strict JSON value; ``None`` where it is not valid, and for ``null``.

    Raises :class:`~gateway.call.errors.InvalidRequest` for a name that is given twice in one object.
    """
    try:
        value = _any.decode(raw)
    except (ValueError, RecursionError):
        return None
    json_body.refuse_nested_duplicates(raw, value)
    return value


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    text = raw.decode("latin1")
    forms = (text, text.replace(";", "&")) if ";" in text else (text,)  # some readers part pairs there, too
    try:
        return [pair for each in forms for pair in parse_qsl(each, keep_blank_values=True, max_num_fields=MAX_MENTIONS)]
    except ValueError:
        raise InvalidRequest("The form has too many fields.", code="too_many_values") from None


def _names(text: str) -> Iterator[str]:
    return (name.group().strip() for name in _between_commas(text) if not name.group().isspace())


def _forms(raw: bytes) -> Iterator[bytes]:
    """Yield ``raw``, and what it is without NULs, escapes, percent signs or entities, where it has some."""
    yield raw
    if b"\0" in raw:
        yield raw.replace(b"\0", b"")
    if b"\\" in raw:
        yield _escape.sub(_unescaped, _joined.sub(b"", raw))
    if b"%" in raw:
        once = unquote_to_bytes(raw)
        yield once
        if b"%" in once:
            yield unquote_to_bytes(once)
    if b"&" in raw:
        yield html.unescape(raw.decode("latin1")).encode("latin1", "replace")


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found.lastindex is None:
        return b" "  # a line's end and its like: what follows is a word of its own
    if found[6] is not None:
        return found[6]
    code = int(found[5], 8) if found[5] is not None else int(found[1] or found[2] or found[3] or found[4], 16)
    return bytes([code]) if code < 128 else b" "


def _ids_among(text: bytes) -> Iterator[str]:
    """Yield the words of a string that are like ids, and their parts."""
    for raw in set(text.translate(_spaces).split()):
        if not MIN_ID_CHARACTERS <= len(raw) <= 4 * MAX_ID_CHARACTERS:
            continue  # a word, or data in some code
        word = raw.decode("ascii")
        for each in (word, word.strip("_.:-"), *_separators.split(word)):
            if len(each) <= MAX_ID_CHARACTERS and _like_id(each) and _whole(each):
                yield each


def _words_around(text: bytes, looked_for: re.Pattern[bytes]) -> Iterator[str]:
    """Yield the words, as models are named, in which ``looked_for`` is found."""
    for found in looked_for.finditer(text):
        start, end = found.span()
        before = _name_end.search(text, max(0, start - MAX_ID_CHARACTERS), start)
        behind = _name_start.match(text, end, end + MAX_ID_CHARACTERS)
        begin = before.start() if before else start
        yield text[begin : behind.end() if behind else end].decode("latin1")
