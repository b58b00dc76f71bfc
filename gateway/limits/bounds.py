"""How many output tokens a request lets an upstream write, by every bound that it names.

Upstreams differ in which spelling of a field they read, and in what they make of ``60000.0`` or ``"60000"``. So of all
bounds the largest counts, and one that is not a positive whole number counts as none: then it is the model's own.
Other spellings than the front door's only make it more.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from accounts.numbers import positive_whole
from providers.dialects.families import BUDGETS

MOST_TOKENS: Final = 10_000_000
MOST_CHOICES: Final = 128
"""The most answers that OpenAI allows: what counts where their number can't be read."""
ANSWER_ROOM: Final = 1024
"""What is left for the answer where a bound is raised to make room for thinking."""
LARGE_BYTES: Final = 65_536
BOUNDS: Final[dict[str, tuple[str, ...]]] = {
    "responses": ("max_output_tokens",),
    "realtime": ("max_output_tokens",),
    "gemini": ("maxOutputTokens", "max_output_tokens"),
    "anthropic": ("max_tokens",),
    "completion": ("max_tokens",),
    "": ("max_completion_tokens", "max_tokens"),
}
"""The fields that bound an answer, by front door or type: others must not, for upstreams may pass over them."""
EVERY_BOUND: Final = frozenset({"maxtokens", "maxcompletiontokens", "maxoutputtokens"})
CHOICES: Final[dict[str, frozenset[str]]] = {
    "responses": frozenset(),
    "gemini": frozenset({"candidatecount"}),
    "": frozenset({"n", "bestof"}),
}
"""How many answers there are; ``best_of`` bills what it drops. These names, and those below, are folded."""
SETTINGS: Final = "generationconfig"
THINKING: Final = frozenset({"thinking", "reasoning", "thinkingconfig"})
THINKING_BUDGETS: Final = frozenset({"budgettokens", "maxtokens", "thinkingbudget"})
EFFORT: Final = "reasoningeffort"
EFFORTS: Final = frozenset({"effort", "thinkinglevel"})
EFFORT_TOKENS: Final[dict[str, int]] = {str(effort): tokens for effort, tokens in BUDGETS.items()}
LEFT_TO_THE_MODEL: Final = (None, 0, -1)

Pairs = Iterable[tuple[str, Any]]
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_pairs = json.JSONDecoder(object_pairs_hook=tuple)


@dataclass(slots=True)
class Outputs:
    """What a request says: its ``largest`` bound on one answer, 0 where none can be read; the ``thinking`` that it has
    room for; ``choices``; the tokens of the ``effort`` that it names, which make room only where they are translated
    into a budget of thinking. ``bound``: a field that no upstream passes over bounds it. ``opened``: something does
    not, as a bound that can't be read.
    """

    largest: int = 0
    thinking: int = 0
    effort: int = 0
    choices: int = 1
    bound: bool = False
    opened: bool = False

    @property
    def asked(self) -> int:
        """The output tokens that are asked for; 0 where no bound is named."""
        return self._with_thinking * self.choices if self.bound else 0

    def most(self, models_most: int) -> int:
        """Return the most output tokens there can be of a model that writes at most so many in one answer."""
        is_open = self.opened or not self.bound
        return max(self._with_thinking, models_most if is_open else 0) * self.choices

    @property
    def _with_thinking(self) -> int:
        if self.thinking and self.thinking >= self.largest:
            return self.thinking + max(self.largest, ANSWER_ROOM)
        return self.largest


def outputs_of(kind: str, fields: Mapping[str, msgspec.Raw]) -> Outputs:
    """Return what the fields of a body say; ``kind`` is the front door or the type of the model."""
    found = Outputs()
    exact, counted = BOUNDS.get(kind, BOUNDS[""]), CHOICES.get(kind, CHOICES[""])
    if kind != "gemini":
        _read_level(found, fields.items(), exact, counted)
        return found
    for name, raw in fields.items():
        if _folded(name) == SETTINGS and (pairs := _members(raw)) is not None:
            _read_level(found, pairs, exact, counted)
    return found


def _read_level(found: Outputs, pairs: Pairs, exact: tuple[str, ...], counted: frozenset[str]) -> None:
    is_bound = False
    for name, given in pairs:
        folded = _folded(name)
        if folded in EVERY_BOUND:
            is_bound |= _read_bound(found, given) and name in exact
        elif folded in counted:
            value = _plain(given)
            number = 1 if value is None else positive_whole(value, MOST_TOKENS) or MOST_CHOICES
            found.choices = max(found.choices, number)
        elif folded in THINKING:
            _read_thinking(found, _members(given))
        elif folded == EFFORT:
            _read_effort(found, given)
    found.bound |= is_bound
    found.opened |= not is_bound  # of two settings an upstream may go by the one that bounds nothing


def _read_bound(found: Outputs, given: Any) -> bool:
    """Take a bound into what was found; return whether it can be read. ``null`` is as good as not given."""
    value = _plain(given)
    if value is None:
        return False
    number = positive_whole(value, MOST_TOKENS)
    found.largest = max(found.largest, number or 0)
    found.opened |= number is None
    return number is not None


def _read_thinking(found: Outputs, pairs: Pairs | None) -> None:
    if pairs is not None:
        found.effort = max(found.effort, BUDGETS["medium"])  # what thinking is translated to that names nothing else
    for name, given in pairs or ():
        folded = _folded(name)
        if folded in EFFORTS:
            _read_effort(found, given)
        elif folded in THINKING_BUDGETS and (value := _plain(given)) not in LEFT_TO_THE_MODEL:
            number = positive_whole(value, MOST_TOKENS)
            found.thinking = max(found.thinking, number or 0)
            found.opened |= number is None


def _read_effort(found: Outputs, given: Any) -> None:
    found.effort = max(found.effort, EFFORT_TOKENS.get(str(_plain(given)).lower(), 0))


def _folded(name: str) -> str:
    """Return a name without what servers that are lenient pass over: case, and the underscores of its twin."""
    return name.replace("_", "").lower()


def _plain(given: Any) -> Any:
    """Return a value as JSON means it; what is too long for a number is an empty string."""
    if not isinstance(given, msgspec.Raw):
        return given
    encoded = bytes(given)
    try:
        return msgspec.json.decode(encoded) if len(encoded) <= ANSWER_ROOM else ""
    except (ValueError, RecursionError):
        return ""


def _members(given: Any) -> Pairs | None:
    """Return the members of a JSON object, duplicates included; none for another value, and ``None`` for ``null``."""
    if not isinstance(given, msgspec.Raw):
        return given if isinstance(given, tuple) or given is None else ()
    encoded = bytes(given)
    try:
        if len(encoded) > LARGE_BYTES:
            return list(_fields.decode(encoded).items())
        value = _pairs.decode(encoded.decode())
    except (ValueError, RecursionError):
        return ()
    return value if isinstance(value, tuple) or value is None else ()
