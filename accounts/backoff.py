"""How long to wait after a failure: one function for every loop and job that tries again."""

import random

MAX_POWER = 64
"""Beyond this the pause has reached any bound, and a float its own."""


def backoff(before: int, first: float, longest: float, factor: float = 2.0) -> float:
    """Return the pause in seconds after a failure that ``before`` others came before in a row.

    It is ``first`` after the first failure, ``factor`` times as long after each further one, and never above
    ``longest``.
    """
    return min(first * factor ** min(before, MAX_POWER), longest)


def spread(seconds: float, share: float = 0.2) -> float:
    """Return ``seconds``, up to ``share`` more or less at random, so that what began together does not go on
    together.
    """
    return seconds * random.uniform(1 - share, 1 + share)
