"""An account's models by every form of their names, to find which ones a caller's words could mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.access.model_names import plain, stems
from providers.snapshot import AccountSnapshot, ModelSnapshot
from rules.unlisted import words_of

LISTINGS_KEPT = 256
MAX_WORDS = 30
MIN_LETTERS = 4  # fewer are in too many names
NEWEST = frozenset({"latest", "newest", "preview", "exp", "experimental", "stable", "beta", "ga", "default", "current"})


def letters(name: str) -> str:
    """Return the letters and digits of a name, in lower case."""
    return "".join(words_of(name))


def family_of(name: str) -> tuple[str, ...]:
    """Return the words of a name that are neither a version nor say "the newest": ``("gemini", "pro")``."""
    return tuple(word for word in words_of(name.rpartition("/")[2]) if word.isalpha() and word not in NEWEST)


@dataclass(slots=True)
class Words:
    """A place in a tree of names' words: what follows, and the models whose name ends here."""

    words: dict[str, "Words"] = field(default_factory=dict)
    models: tuple[ModelSnapshot, ...] = ()


@dataclass(frozen=True, slots=True)
class Listings:
    """An account's models by their names, ours and the upstream's, exactly; by ours in lower case; by the upstream's
    plain one; by the stems of both, their words, their letters and digits, and their families.
    """

    exact: Mapping[str, tuple[ModelSnapshot, ...]]
    lowered: Mapping[str, tuple[ModelSnapshot, ...]]
    by_name: Mapping[str, tuple[ModelSnapshot, ...]]
    by_stem: Mapping[str, tuple[ModelSnapshot, ...]]
    by_words: Words
    by_letters: Mapping[str, tuple[ModelSnapshot, ...]]
    by_family: Mapping[tuple[str, ...], tuple[ModelSnapshot, ...]]


@lru_cache(maxsize=LISTINGS_KEPT)
def listings(account: AccountSnapshot) -> Listings:
    """Return the account's listings, made once for each snapshot of it."""
    forms: tuple[dict[str, dict[str, ModelSnapshot]], ...] = ({}, {}, {}, {})
    exact, lowered, by_name, by_stem = forms
    by_words = Words()
    by_letters: dict[str, tuple[ModelSnapshot, ...]] = {}
    by_family: dict[tuple[str, ...], tuple[ModelSnapshot, ...]] = {}
    for model in account.models.values():
        by_name.setdefault(plain(model.upstream_id), {})[model.name] = model
        lowered.setdefault(model.name.lower(), {})[model.name] = model
        for name in (model.upstream_id, model.name):
            exact.setdefault(name, {})[model.name] = model
            for stem in stems(name):
                by_stem.setdefault(stem, {})[model.name] = model
            bare = name.rpartition("/")[2]
            if len(letters(bare)) >= MIN_LETTERS:
                by_letters[letters(bare)] = (*by_letters.get(letters(bare), ()), model)
            if family_of(bare):
                by_family[family_of(bare)] = (*by_family.get(family_of(bare), ()), model)
            node = by_words
            for word in words_of(bare)[:MAX_WORDS]:
                node = node.words.setdefault(word, Words())
            if node is not by_words:
                node.models = (*node.models, model)
    kept = [{key: tuple(found.values()) for key, found in each.items()} for each in forms]
    return Listings(kept[0], kept[1], kept[2], kept[3], by_words, by_letters, by_family)


def longest(node: Words, words: tuple[str, ...], place: int) -> tuple[int, tuple[ModelSnapshot, ...]]:
    """Return how many words from ``place`` on are a listed name, and the models that have it: the longest."""
    size = 0
    meant: tuple[ModelSnapshot, ...] = ()
    for count, word in enumerate(words[place : place + MAX_WORDS], 1):
        deeper = node.words.get(word)
        if deeper is None:
            break
        node = deeper
        if node.models:
            size, meant = count, node.models
    return size, meant
