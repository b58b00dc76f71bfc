"""Numbers of things, in words."""


def counted(count: int, noun: str) -> str:
    """Return a number of things whose plural ends in ``s``: ``1 call``, ``1,204 calls``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
