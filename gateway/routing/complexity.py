"""How demanding a call looks, without asking a model: by its length, its tools and what it asks for.

The rule is the sum of a few signs, so that it can be explained; it costs no time. Of long bodies the length alone
decides.
"""

import re
from typing import Final

from gateway.body.model_fields import SAID_BY_DOOR, SAID_FIELDS
from gateway.call.call import Call

MEDIUM_BYTES: Final = 2_000
COMPLEX_BYTES: Final = 12_000
SEARCHED_BYTES: Final = 16_384
HARD: Final = re.compile(
    rb"\b(prove|derive|debug|refactor|architect\w*|optimi[sz]e|algorithm|step[- ]by[- ]step|trade-?offs?|analy[sz]e|"
    rb"theorem|concurren\w+|complexity)\b|```",
    re.IGNORECASE,
)
ASKING_FIELDS: Final = ("tools", "response_format", "reasoning", "reasoning_effort")


def tier_of(call: Call) -> str:
    """Return ``simple``, ``medium`` or ``complex``."""
    fields = call.body.fields
    named = SAID_BY_DOOR.get(call.operation.door, SAID_FIELDS)
    said = [memoryview(raw) for name, raw in fields.items() if name in named]
    size = sum(each.nbytes for each in said)
    points = (size > MEDIUM_BYTES) + 2 * (size > COMPLEX_BYTES)
    points += min(2, len(HARD.findall(b" ".join(each[:SEARCHED_BYTES] for each in said)[:SEARCHED_BYTES])))
    points += any(name in fields for name in ASKING_FIELDS)
    return "simple" if points == 0 else "medium" if points <= 2 else "complex"
