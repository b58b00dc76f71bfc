"""How bodies name objects: one normal form of an id, addresses of Google's files, and strings that may be an id
wherever they are. Pure.
"""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

# The field of an id at a place where no description has one: a vendor may follow it, so it is refused when the records
# say that it is another caller's, and passes when they do not know it.
MENTIONED = "mentioned"
# What callers label their calls with. No vendor follows it.
LABELS = frozenset({"client_metadata", "metadata"})
# Nor what callers or models wrote, or what an earlier answer cited.
_PASSED_OVER = LABELS | {"annotations", "input_schema", "parameters", "schema", "type"}
_SAID = frozenset({"arguments", "content", "description", "role", "text"})
_HOLDING = (str, dict, list)
MOST_CHARACTERS = 400
NAME_CHARACTERS = 64
FEWEST_CHARACTERS = 6  # shorter ones are a description's words, like auto

# Names, without their case, underscores and hyphens, end so when they name an object that callers have.
_ENDINGS = (
    "file",
    "files",
    "fileid",
    "fileids",
    "fileuri",
    "fileuris",
    "imageid",
    "imageids",
    "documentid",
    "documentids",
    "libraryid",
    "libraryids",
    "assistantid",
    "batchid",
    "cachedcontent",
    "container",
    "containerid",
    "conversation",
    "conversationid",
    "evalid",
    "responseid",
    "skillid",
    "storeid",
    "storeids",
    "storenames",
    "threadid",
    "uploadid",
    "videoid",
)
_prefixed = re.compile(
    r"\s*(?:file|vs|resp|conv|batch|asst|thread|cntr|video|skill)[-_][A-Za-z0-9_-]{4,190}\s*"
).fullmatch
# What a body has of these names, beside the names of references, in OpenAI's dialect and in others.
MENTION_MARKS = (b'"file', b"ached", b'_file"', b"document_id", b"image_id", b"library_id")
NATIVE_MARKS = (b"ileUri", b"ile_uri", b"toreNames", b"store_names", b"agCorpus", b"ag_corpus", b"datastore")
_begins_like_id = re.compile(rb'"(?:vs|resp|conv|batch|asst|thread|cntr|video|skill)_').search


def may_mention(strings: bytes) -> bool:
    """Whether some of a body has strings that begin as ids do, or an address of Google's."""
    return _begins_like_id(strings) is not None or strings.lower().find(b"googleapis") >= 0


def normal_id(value: str) -> str:
    """Return an id as the records have it: without whitespace around it, and without the path or address before it.

    ``files/abc``, ``/v1beta/files/abc?alt=media`` and ``https://host/v1beta/files/abc:download`` are ``abc``.
    """
    text = value.strip()
    if "/" not in text and "%" not in text:
        return text
    path = unquote(text.partition("?")[0].partition("#")[0]).rstrip("/ ")
    return path.rpartition("/")[2].partition(":")[0].strip()


def is_google_file(address: str, *, relative: bool = False) -> bool:
    """Whether an address is one of the files that callers have at Google. The vendor reads it with the account's key.

    ``relative``: what has no host is one, too, as Google completes it.
    """
    try:
        parts = urlsplit(address.strip())
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return relative
    if not host:
        return relative and not parts.scheme
    return host.endswith("googleapis.com") and "files" in unquote(parts.path).lower().split("/")


def find_mentioned(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Return ``(field, id)`` for every string of ``value``, named ``name``, that may be the id of an object.

    What ``type`` says is a word, and what ``text`` and ``content`` say is said. The field is ``url`` for an address of
    Google's files, else :data:`MENTIONED`.
    """
    found: list[tuple[str, str]] = []
    pending = [(name, value)]
    while pending:
        name, node = pending.pop()
        if isinstance(node, str):
            if len(node) <= MOST_CHARACTERS:
                _read(name, node, found)
        elif isinstance(node, list):
            pending.extend((name, child) for child in node if child.__class__ in _HOLDING)
        elif isinstance(node, dict):
            kind = node.get("type")
            holder = "file" if isinstance(kind, str) and "file" in kind else name
            pending.extend(
                (holder if key == "id" else key, child)
                for key, child in node.items()
                if child.__class__ in _HOLDING
                and key not in _PASSED_OVER
                and not (key in _SAID and child.__class__ is str)
            )
    return found


def _read(name: str, text: str, found: list[tuple[str, str]]) -> None:
    if (len(text) >= FEWEST_CHARACTERS and names_object(name)) or _prefixed(text):
        found.append((MENTIONED, normal_id(text)))
    elif "/" in text and "googleapis" in text.lower() and is_google_file(text):
        found.append(("url", normal_id(text)))


def names_object(name: str) -> bool:
    """Whether a field of this name holds the id of an object that callers have."""
    return len(name) <= NAME_CHARACTERS and _names_object(name)


def names_id(name: str) -> bool:
    """Whether a field of this name holds such an id, and never an object's content."""
    return names_object(name) and name.lower().rstrip("s").endswith(("id", "uri"))


@lru_cache(maxsize=4096)
def _names_object(name: str) -> bool:
    return name.lower().replace("_", "").replace("-", "").endswith(_ENDINGS)
