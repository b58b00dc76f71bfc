"""HTTP to upstreams outside the hot path: credential tests and other work in commands. The one file that holds httpx.

Every name is resolved here, its addresses are judged by the egress rules, and the connection goes to the address that
was judged, so a name that changes between the two can't slip through. No redirect is followed, no proxy from the
environment is used, answers are bounded in size and time.
"""

import math
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from providers import egress
from providers.origins import Origin, origin

MAX_ANSWER_BYTES = 2**18
MAX_RETRY_AFTER_SECONDS = 3600.0
Resolve = Callable[[str, int], list[str]]
Reason = Literal["egress", "dns", "refused", "timeout", "tls", "broken"]


class Unreachable(Exception):
    """No whole answer came. ``reason`` says why; the message says it in words and holds no header."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Refused(Exception):
    """The upstream answered with a status that is not a success; ``retry_after`` is in seconds."""

    def __init__(self, status: int, retry_after: float | None) -> None:
        super().__init__(f"the upstream answered {status}")
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: ``body`` is cut at the client's ``max_bytes``, ``location`` is where a redirect pointed.

    ``retry_after`` is in seconds, when the upstream asked for a pause.
    """

    status: int
    content_type: str
    body: bytes
    milliseconds: int
    location: str = ""
    retry_after: float | None = None


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of ``host``. Raises ``socket.gaierror``."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedClient:
    """A client for one upstream, and no other host. Use it as a context manager; calls may run in several threads.

    The query of ``base_url``, where it has one, is what every call's address ends with.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        connect_timeout: float = 10,
        read_timeout: float = 30,
        resolve: Resolve = resolve,
        verify: ssl.SSLContext | None = None,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        base_url, _, self._query = base_url.partition("?")
        self._max_bytes = max_bytes
        self._deadline = connect_timeout + read_timeout
        transport = _CheckedTransport(origin(base_url), resolve, verify or ssl.create_default_context())
        self._client = httpx.Client(
            base_url=base_url,
            headers=[
                (name.encode(), value.encode())  # as the calls' client sends them: httpx would take ASCII only
                for name, value in {"accept-encoding": "identity", "user-agent": "gatehouse", **headers}.items()
            ],
            timeout=httpx.Timeout(read_timeout, connect=connect_timeout),
            transport=transport,
            follow_redirects=False,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; calls that still run in other threads end with an error."""
        self._client.close()

    def call(self, method: str, path: str, body: Any = None, *, content: bytes | None = None) -> Reply:
        """Send one request, ``body`` as JSON or ``content`` as it is, and return the answer whatever its status.

        Raises :class:`Unreachable`.
        """
        start = time.monotonic()
        try:
            with self._client.stream(method, self._asked(path), json=body, content=content) as response:
                content = self._read(response, start + self._deadline)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
            raise _unreachable(error) from None
        return Reply(
            status=response.status_code,
            content_type=response.headers.get("content-type", ""),
            body=content,
            milliseconds=round((time.monotonic() - start) * 1000),
            location=response.headers.get("location", ""),
            retry_after=_retry_after(response.headers),
        )

    def pieces(self, path: str) -> Iterator[bytes]:
        """Yield what ``GET path`` answers as it comes, however long it is.

        Raises :class:`Refused` for a status that is not a success, :class:`Unreachable` for an answer that is not
        whole.
        """
        try:
            with self._client.stream("GET", self._asked(path)) as response:
                if response.status_code != 200:
                    raise Refused(response.status_code, _retry_after(response.headers))
                yield from response.iter_raw()  # without a size: with one, slow bytes wait until there are so many
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
            raise _unreachable(error) from None

    def _asked(self, path: str) -> str:
        return f"{path}{'&' if '?' in path else '?'}{self._query}" if self._query else path

    def _read(self, response: httpx.Response, deadline: float) -> bytes:
        content = bytearray()
        for chunk in response.iter_raw():
            content += chunk
            if len(content) >= self._max_bytes:
                return bytes(content[: self._max_bytes])
            if time.monotonic() > deadline:
                raise Unreachable("timeout", f"the answer did not end within {self._deadline:g} s")
        return bytes(content)


class _CheckedTransport(httpx.HTTPTransport):
    """Resolves and judges names itself, then connects to the judged address under the name's certificate."""

    def __init__(self, to: Origin, resolve: Resolve, verify: ssl.SSLContext) -> None:
        # A pool keeps connections by address, so they must not outlive the name that they were judged for.
        super().__init__(verify=verify, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
        self._to = to
        self._resolve = resolve

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if origin(str(url)) != self._to:  # the client's headers, secrets among them, are for that one
            raise egress.EgressDenied(f"{url.host} is not the host that this client's key is for")
        host = url.raw_host.decode("ascii")
        addresses = self._resolve(host, url.port or (443 if url.scheme == "https" else 80))
        for address in addresses:
            egress.check_address(host, address)
        request.extensions = {**request.extensions, "sni_hostname": host}
        failure: httpx.HTTPError = httpx.ConnectError(f"{host} has no address")
        for address in addresses:
            request.url = url.copy_with(host=address.split("%", 1)[0])
            try:
                return super().handle_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        seconds = float(headers.get("retry-after", "nan"))
    except ValueError:
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS) if not math.isnan(seconds) else None


def _unreachable(error: Exception) -> Unreachable:
    """Return what ``error`` means in words.

    Messages of libraries are passed on only where they hold no address of ours.
    """
    cause = _find(error, ssl.SSLError)
    if isinstance(error, egress.EgressDenied):
        return Unreachable("egress", str(error))
    if isinstance(error, (socket.gaierror, UnicodeError, httpx.InvalidURL)):
        return Unreachable("dns", "the host name is not found")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Unreachable("tls", f"its certificate is not valid: {cause.verify_message}")
    if cause is not None:
        return Unreachable("tls", "no TLS connection: the server may not speak https there")
    if isinstance(error, httpx.ConnectTimeout):
        return Unreachable("timeout", "no connection within the connect timeout")
    if isinstance(error, httpx.TimeoutException):
        return Unreachable("timeout", "connected, but no answer within the read timeout")
    if isinstance(error, httpx.ConnectError):
        return Unreachable("refused", "the connection is refused or its host can't be reached")
    return Unreachable("broken", f"the answer is not a whole HTTP answer ({type(error).__name__})")


def _find(error: BaseException | None, wanted: type[BaseException]) -> BaseException | None:
    while error is not None and not isinstance(error, wanted):
        error = error.__cause__ or error.__context__
    return error
