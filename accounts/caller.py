"""Who asks: the caller that a token belongs to, as the directory holds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """Who asks, as the directory knows the token. ``principals`` are the subject keys that grants are matched with.

    ``state`` is ``active`` or the reason why the token opens nothing; ``expires_at`` is a Unix time or ``None``.
    ``limits`` narrows the token to accounts and ``account/model`` names; ``None`` means no limit.
    """

    token_id: int
    prefix: str
    subject_type: str
    subject_id: int
    subject_name: str
    principals: frozenset[str] = field(repr=False)
    is_superuser: bool
    teams: tuple[str, ...]
    team_keys: tuple[str, ...]
    tags: Mapping[str, str]
    limits: frozenset[str] | None
    state: str
    expires_at: float | None

    @property
    def key(self) -> str:
        """The subject as grants name it: ``user:7`` or ``virtualaccount:2``."""
        return f"{self.subject_type}:{self.subject_id}"
