"""Objects that belong to an API key, in bounded memory."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, cast

from sandbox.store.auth import owned
from sandbox.wire.messages import Request

T = TypeVar("T")

MAX_OBJECTS = 5_000
MAX_BYTES = 64 * 1024 * 1024


class Shelf(Generic[T]):
    """Objects by id in the order of their making; the oldest go when there are too many or they are too large."""

    def __init__(self, limit: int = MAX_OBJECTS, max_bytes: int = MAX_BYTES) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._items: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self._bytes = 0

    def put(self, key: str, value: T, size: int = 1024) -> T:
        """Adds or replaces; `size` is about the bytes that the object takes."""
        self.pop(key)
        self._items[key] = (value, size)
        self._bytes += size
        while len(self._items) > 1 and (len(self._items) > self._limit or self._bytes > self._max_bytes):
            _, (_, freed) = self._items.popitem(last=False)
            self._bytes -= freed
        return value

    def get(self, key: str) -> T | None:
        found = self._items.get(key)
        return found[0] if found else None

    def pop(self, key: str) -> T | None:
        found = self._items.pop(key, None)
        if found is None:
            return None
        self._bytes -= found[1]
        return found[0]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter([value for value, _ in self._items.values()])


def shelf(request: Request, name: str) -> Shelf[Any]:
    """The shelf `name` of the API key that the request at hand came with."""
    kept = owned(request.app.state, f"shelf {name}", 1)
    found = kept.get(name)
    return cast(Shelf[Any], kept.put(name, Shelf()) if found is None else found)
