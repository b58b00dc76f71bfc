"""Route rows and how a path finds its row."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, NamedTuple

Handler = Callable[[Any], Awaitable[Any]]


class Route(NamedTuple):
    """One row: `Route("GET", "/v1/files/{file_id}", retrieve)`.

    `method` is an HTTP method, or "WEBSOCKET". `handler` is `async (Request) -> Response | Stream`, or
    `async (WebSocket) -> None`. With `streamed` the body is not read ahead: the handler reads
    `request.stream()` or `request.form()`, and directives come from the header only. Without `authenticated`
    no key is asked for, and nothing is recorded.
    """

    method: str
    path: str
    handler: Handler
    streamed: bool = False
    authenticated: bool = True


class Router:
    """Finds the row for a method and path: a dictionary for fixed paths, segments for the others."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[tuple[str, str], Route] = {}
        self._by_length: dict[int, list[tuple[tuple[str, ...], Route]]] = {}
        for route in routes:
            if "{" in route.path:
                parts = tuple(route.path.split("/"))
                self._by_length.setdefault(len(parts), []).append((parts, route))
            else:
                self._fixed[route.method, route.path] = route

    def find(self, method: str, path: str) -> tuple[Route | None, dict[str, str]]:
        """The row and the path's parameters; (None, {}) for an unknown one."""
        route = self._fixed.get((method, path))
        if route is not None:
            return route, {}
        for candidate, params in self._matches(path):
            if candidate.method == method:
                return candidate, params
        return None, {}

    def allowed(self, path: str) -> list[str]:
        """The methods that exist for this path, for a 405."""
        methods = {method for method, fixed in self._fixed if fixed == path}
        methods.update(route.method for route, _ in self._matches(path))
        return sorted(methods - {"WEBSOCKET"})

    def _matches(self, path: str) -> Iterator[tuple[Route, dict[str, str]]]:
        given = path.split("/")
        for parts, route in self._by_length.get(len(given), ()):
            params: dict[str, str] = {}
            for part, value in zip(parts, given, strict=True):
                if part.startswith("{") and value:
                    params[part[1:-1]] = value
                elif part != value:
                    break
            else:
                yield route, params
