"""How many more requests there may be than calls: each call of a target earns a share of one, each extra request takes
one."""

from typing import Final


class Allowance:
    """What is left of extra requests by target, ``most`` at first and ever. Bounded by the configuration's targets."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._left: dict[str, float] = {}

    def earn(self, name: str, share: float) -> None:
        """Note a call of a target, which earns a share of an extra request."""
        self._left[name] = min(self._most, self._left.get(name, self._most) + share)

    def take(self, name: str) -> bool:
        """Take one extra request; return whether there was one."""
        left = self._left.get(name, self._most)
        if left < 1:
            return False
        self._left[name] = left - 1
        return True

    def forget(self, kept: set[str]) -> None:
        """Drop what is known of targets that are not ``kept``."""
        for name in self._left.keys() - kept:
            del self._left[name]


MOST_HEDGES: Final = 5.0
MOST_RETRIES: Final = 10.0
hedges = Allowance(MOST_HEDGES)
"""Second requests beside slow ones."""
retries = Allowance(MOST_RETRIES)
"""Retries of virtual models that bound them."""
