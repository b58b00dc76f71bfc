"""A drain that is not a signal: ``manage.py drain`` makes ``/readyz`` answer 503, so that a balancer looks elsewhere
first.

All processes on a data directory drain together: the mark is a file there, which a start removes. Calls go on being
served.
"""

from pathlib import Path

from django.conf import settings


def begin() -> None:
    """Mark this data directory's servers as draining."""
    _mark().touch(mode=0o600)


def end() -> None:
    """Take the mark away."""
    _mark().unlink(missing_ok=True)


def is_draining() -> bool:
    """Whether the mark is there: one call of the file system, microseconds."""
    return _mark().exists()


def _mark() -> Path:
    return Path(settings.DATA_DIR) / "draining"
