"""Names and ids of tools as a vendor takes them: legal, short enough, different from each other, and mapped back."""

import re
from hashlib import blake2b

from providers.dialects.neutral import Request

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")


def legal(name: str, longest: int, *, first_letter: bool = False) -> str:
    """Return a name of letters, digits, ``_`` and ``-``; one that had to change ends in a digest of what it was.

    The same name always gives the same result, so that calls in the history match the tools of the request.
    """
    clean = _ILLEGAL.sub("_", name)
    if first_letter and clean[:1] and not (clean[0].isalpha() or clean[0] == "_"):
        clean = f"_{clean}"
    if clean == name and len(name) <= longest and name:
        return name
    digest = blake2b(name.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{clean[: longest - 9]}_{digest}"


class Names:
    """A request's tool names in a vendor's spelling."""

    def __init__(self, request: Request, longest: int, *, first_letter: bool = False) -> None:
        self._longest, self._first_letter = longest, first_letter
        self.table: dict[str, str] = {}  # the caller's name: how it is sent
        for tool in request.tools:
            self.sent(tool.name)

    def sent(self, name: str) -> str:
        """Return how a name is sent."""
        known = self.table.get(name)
        if known is None:
            known = self.table[name] = legal(name, self._longest, first_letter=self._first_letter)
        return known

    def back(self) -> dict[str, str]:
        """Return the names that were changed, as sent, with what the caller calls them."""
        return {sent: name for name, sent in self.table.items() if sent != name}
