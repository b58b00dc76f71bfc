"""The prompt cache: what the marks of a request read from it and write to it."""

import hashlib
from typing import NamedTuple

from sandbox.anthropic.blocks import Block
from sandbox.state import State

SMALLEST = 1024  # tokens of a prefix that is worth keeping
SECONDS = {"5m": 300, "1h": 3600}
_MEMORY = 100_000


class Cached(NamedTuple):
    """Tokens that were read, and that were written for five minutes and for an hour."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def written(self) -> int:
        return self.written_5m + self.written_1h


def use(state: State, model: str, blocks: list[Block]) -> Cached:
    """Reads the longest prefix that is kept, writes the others up to the last mark; the time of both begins again."""
    if not any(block.ttl for block in blocks):
        return Cached()
    kept = state.store("anthropic-cache", _MEMORY)
    running = hashlib.blake2b(model.encode(), digest_size=16)
    now, total, read = state.now(), 0, 0
    marks: list[tuple[int, str, str]] = []
    for block in blocks:
        running.update(len(block.data).to_bytes(8, "big") + block.data)
        total += block.tokens
        if total < SMALLEST:
            continue
        digest = running.hexdigest()
        if (kept.get(digest) or 0) > now:
            read = total
        if block.ttl:
            marks.append((total, digest, block.ttl))
    written = {"5m": 0, "1h": 0}
    before = read = min(read, marks[-1][0]) if marks else 0
    for total, digest, ttl in marks:
        kept.put(digest, now + SECONDS[ttl])
        written[ttl] += max(total - before, 0)
        before = max(before, total)
    return Cached(read, written["5m"], written["1h"])
