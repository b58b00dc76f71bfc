"""What is taken out of bodies before they are kept: secrets, what operators name, and long encoded media."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final

BUILT_IN: Final = {
    "secret": (
        r"\b(?:gh|sk|rk|pk|xai|gsk|AIza|ghp|github_pat|glpat|xox[abprs])[-_][A-Za-z0-9_\-]{16,}"
        r"|\bAIza[A-Za-z0-9_\-]{30,}|\bAKIA[A-Z0-9]{16}\b"
        r"|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}"
        r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]{1,10000}-----END [A-Z ]*PRIVATE KEY-----"
    ),
    "email": r"\b[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,8}\b",
    "iban": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b",
    "card": r"\b(?:\d[ \-]?){12,18}\d\b",
}
"""Rules by name, in the order they are used. ``secret`` are tokens and keys of well-known forms."""
TOKENS: Final = ("gh", "sk", "rk", "pk", "xai", "ghp", "github_pat", "glpat")
MARKS: Final = (*(f"{name}{sign}" for name in TOKENS for sign in "-_"), "xox", "AIza", "AKIA", "eyJ", "-----BEGIN")


def _has_mark(text: str) -> bool:
    # Every body comes here: no generator for any(), and find() instead of in, which makes an error of each mark first.
    for mark in MARKS:  # noqa: SIM110
        if text.find(mark) >= 0:
            return True
    return False


HINTS: Final[Mapping[str, Callable[[str], object]]] = {
    "secret": _has_mark,
    "email": lambda text: text.find("@") >= 0,
    "iban": re.compile(r"[A-Z][A-Z]\d\d").search,
    "card": re.compile(r"\d[\d \-]{11,}\d").search,
}
"""What a string has where a rule of ours finds something: it costs a tenth of the rule, and most have nothing."""
MEDIA: Final = re.compile(r"[A-Za-z0-9+/_\-]{1000,}={0,2}")
"""Base64 of images, audio and files."""


class Redactor:
    """Takes out what the named built-in rules and the operator's own patterns (name to regular expression) find."""

    def __init__(self, names: Collection[str], patterns: Mapping[str, str]) -> None:
        rules = {name: rule for name, rule in BUILT_IN.items() if name in names}
        hints = {name: HINTS[name] for name in rules if name not in patterns}
        self._rules = [
            (f"[{name}]", re.compile(pattern), hints.get(name)) for name, pattern in {**rules, **patterns}.items()
        ]

    def text(self, text: str) -> str:
        """Return ``text`` with the rule's name in brackets where something was."""
        text = MEDIA.sub(lambda found: f"[{len(found[0])} characters of base64]", text)
        for name, pattern, hint in self._rules:
            if hint is None or hint(text):
                text = pattern.sub(name, text)
        return text
