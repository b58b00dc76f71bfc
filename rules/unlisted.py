"""Models that no one listed, on accounts that pass any name on: of which models that rules name they may be variants.

Upstreams take decorated names for a model (``gpt-4o:nitro``, ``~gpt-4o``, ``gpt-4o,x``, ``gpt-4o-fast``), and new forms
appear all the time. So a name that holds a model's as whole words may mean it, unless the price list has a model by
just that name. Whether one rule counts a name depends on no other rule: else its budget's sum would change with them.
"""

import re
from collections.abc import Iterable

from providers.pricing.public import published_name

WORDS = re.compile(r"[a-z0-9]+")


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a model's name: what is between its marks, in lower case."""
    return tuple(WORDS.findall(name.lower()))


class NamedModels:
    """Models that rules name (``account/model``), filed under their account and first word."""

    def __init__(self, names: Iterable[str]) -> None:
        self._filed: dict[tuple[str, str], list[tuple[tuple[str, ...], str]]] = {}
        for name in names:
            account, _, model = name.partition("/")
            words = words_of(model.rpartition("/")[2])  # without a maker's name before it
            if words:
                self._filed.setdefault((account, words[0]), []).append((words, name))

    def meant_by(self, accounts: Iterable[str], model: str, price_source: str) -> tuple[str, ...]:
        """Return which of the names the unlisted ``model`` may be a variant of, the longest first.

        ``accounts`` are the names of its account, ``price_source`` is that one's id in the price list.
        """
        words = words_of(model)
        found = {
            name: len(own)
            for account in accounts
            for place, word in enumerate(words)
            for own, name in self._filed.get((account, word), ())
            if words[place : place + len(own)] == own
        }
        published = published_name(price_source, model) if found else ""
        if published:
            found = {name: size for name, size in found.items() if name.partition("/")[2].lower() == published}
        return tuple(sorted(found, key=lambda name: (-found[name], name)))
