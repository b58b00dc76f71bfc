"""On whose behalf the running code changes things, for the audit log."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something and from where: an e-mail address or the name of an operating system's user.

    ``source`` is ``console``, ``command``, ``manifest``, ``api`` or ``system``; ``detail`` names the command.
    """

    name: str = ""
    source: str = "system"
    detail: str = ""


NOBODY = Actor()
_actor: ContextVar[Actor] = ContextVar("actor", default=NOBODY)


def actor() -> Actor:
    """Return who acts now."""
    return _actor.get()


@contextmanager
def acting(name: str, source: str, detail: str = "") -> Iterator[None]:
    """Let what is changed within be ``name``'s doing."""
    token = _actor.set(Actor(name, source, detail))
    try:
        yield
    finally:
        _actor.reset(token)
