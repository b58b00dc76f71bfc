"""What an HTTP header can carry, and which field of an account to fix when it can't."""

import re
from collections.abc import Iterable

NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
FIELDS = {"openai-organization": "organization", "openai-project": "project"}
UNSENDABLE = "has characters that no HTTP header can carry: only printable ASCII works, without whitespace around it."


def value_fault(value: str) -> str:
    """Say why ``value`` may not be entered as a header's value; empty: it may. The value itself is not repeated."""
    return "" if not value or VALUE.fullmatch(value) else UNSENDABLE


def unsendable(headers: Iterable[tuple[str, str]], auth_header: str) -> str:
    """Return the field of an account whose stored value no connection sends, like ``organization``; empty: all can go.

    ``headers`` are the account's, names in lower case. More than what :func:`value_fault` lets in can go: text in UTF-8
    does.
    """
    for name, value in headers:
        if CONTROL.search(value) or not NAME.fullmatch(name):
            return field_of(name, auth_header)
    return ""


def field_of(name: str, auth_header: str) -> str:
    """Return what an account calls the field that its header ``name`` is made of."""
    return FIELDS.get(name) or ("API key" if name == auth_header else f"extra header {name!r}")
