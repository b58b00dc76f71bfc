"""What is taken out of bodies before they are kept: secrets, what operators name, and long encoded media."""

import re
from collections.abc import Collection, Mapping
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
MEDIA: Final = re.compile(r"[A-Za-z0-9+/_\-]{1000,}={0,2}")
"""Base64 of images, audio and files."""


class Redactor:
    """Takes out what the named built-in rules and the operator's own patterns (name to regular expression) find."""

    def __init__(self, names: Collection[str], patterns: Mapping[str, str]) -> None:
        rules = {**{name: rule for name, rule in BUILT_IN.items() if name in names}, **patterns}
        self._rules = [(f"[{name}]", re.compile(pattern)) for name, pattern in rules.items()]

    def text(self, text: str) -> str:
        """Return ``text`` with the rule's name in brackets where something was."""
        text = MEDIA.sub(lambda found: f"[{len(found[0])} characters of base64]", text)
        for name, pattern in self._rules:
            text = pattern.sub(name, text)
        return text
