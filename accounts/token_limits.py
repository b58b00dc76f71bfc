"""What the limits of a token may name. The apps above say which names there are; this package knows none of them."""

import difflib
from collections.abc import Callable, Iterable

Knows = Callable[[str], bool]
Names = Callable[[], Iterable[str]]

_known: list[tuple[Knows, Names]] = []
SUGGESTIONS = 3


def register(knows: Knows, names: Names) -> None:
    """Let ``knows`` say whether a limit names something that can be called; ``names`` returns all names, for
    suggestions.
    """
    _known.append((knows, names))


def limits_fault(limits: Iterable[str]) -> str | None:
    """Say which of ``limits`` name nothing, and what is near them; ``None`` when each names something."""
    unknown = [limit for limit in limits if not any(knows(limit) for knows, _ in _known)]
    if not unknown:
        return None
    names = [name for _, listed in _known for name in listed()]
    said = []
    for limit in unknown:
        near = difflib.get_close_matches(limit, names, SUGGESTIONS)
        said.append(f"{limit[:200]!r}" + (f" (near it: {', '.join(near)})" if near else ""))
    return f"No account or model has this name: {', '.join(said)}. A token with such a limit could call nothing."
