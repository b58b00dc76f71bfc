"""What one sandbox process remembers: bounded stores, a clock that tests may replace, and ids."""

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Store(Generic[K, T]):
    """Objects by id, in the order of their creation; the oldest go when there are too many or they are too large."""

    def __init__(self, limit: int = 10_000, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._items: OrderedDict[K, tuple[T, int]] = OrderedDict()
        self._bytes = 0

    def put(self, key: K, value: T, size: int = 0) -> T:
        """Adds or replaces, a replaced object in its place; `size` is about the bytes that it takes, if that
        matters.
        """
        self._bytes += size - self._items.get(key, (value, 0))[1]
        self._items[key] = (value, size)
        while len(self._items) > self._limit or (self._bytes > self._max_bytes and len(self._items) > 1):
            self._bytes -= self._items.popitem(last=False)[1][1]
        return value

    def get(self, key: K) -> T | None:
        found = self._items.get(key)
        return found[0] if found else None

    def pop(self, key: K) -> T | None:
        value, size = self._items.pop(key, (None, 0))
        self._bytes -= size
        return value

    def __contains__(self, key: K) -> bool:
        return key in self._items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter([value for value, _ in self._items.values()])


class State:
    """All that a process remembers. A resource asks for its store by name: `state.store("files")`.

    `clock` returns seconds since the epoch; stateful resources ask `state.now()` and never the time module, so
    that a test can move time with `advance`.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._shift = 0.0
        self._stores: dict[str, Store[str, Any]] = {}
        self.rendered: Store[bytes, bytes] = Store(1000)  # answers by request body, see resources/chat.py
        self._seed = os.urandom(16)
        self._count = 0

    def store(self, name: str, limit: int = 10_000) -> Store[str, Any]:
        store = self._stores.get(name)
        if store is None:
            store = self._stores[name] = Store(limit)
        return store

    def now(self) -> float:
        return self._clock() + self._shift

    def created(self) -> int:
        """The time now in whole seconds, for `created` and `created_at`."""
        return int(self.now())

    def advance(self, seconds: float) -> None:
        self._shift += seconds

    def new_id(self, prefix: str, length: int = 24) -> str:
        """`prefix` and `length` (up to 64) hex digits; unique across processes."""
        self._count += 1
        digest = hashlib.blake2b(self._count.to_bytes(8, "big"), key=self._seed, digest_size=32)
        return prefix + digest.hexdigest()[:length]
