"""What a check of ``manage.py doctor`` yields."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: ``level``, what is so, and what to do about it (empty when all is well)."""

    check: str
    level: str
    message: str
    action: str = ""


Check = Callable[[], Iterator[Finding]]
