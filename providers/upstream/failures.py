"""How upstream calls fail, and whether the vendor may have seen the request."""

import ssl

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError

from providers import egress

UNPACKABLE = "The upstream's answer is not packed as its content-encoding says."


class UpstreamFailure(Exception):
    """An upstream call that brought no whole answer. ``sent`` says whether the vendor may have seen the request."""

    sent = True


class EgressRefused(UpstreamFailure):
    """The address may not be connected to; the message says which and what to do."""

    sent = False


class SignInFailed(UpstreamFailure):
    """No access token came for the account's credentials; the message says why. Nothing was sent to the provider."""

    sent = False


class ConnectFailed(UpstreamFailure):
    """No connection: name not found, refused, unreachable, TLS failure. Nothing was sent."""

    sent = False


class UnsendableHeaders(ConnectFailed):
    """What is stored of the account can't be sent in a request; the message names the field. Nothing was sent."""


class SecretsMisbound(ConnectFailed):
    """The account's secrets were entered for another origin than the one that the call leads to. Nothing was sent."""


class ConnectTimedOut(ConnectFailed):
    """No connection within the account's connect timeout. Nothing was sent."""


class ConnectionsBusy(UpstreamFailure):
    """Each connection that the account may open was busy for the account's connect timeout. Nothing was sent."""

    sent = False


class Disconnected(UpstreamFailure):
    """The connection broke after the request was sent, or in the middle of the answer.

    ``reused``: the connection had served calls before, and no byte of this answer came. The upstream may have closed it
    before the request arrived, as it does with those that were idle for too long.
    """

    reused = False


class ReadTimedOut(UpstreamFailure):
    """No byte came within the account's read timeout, or the attempt took longer than asked for."""


class BrokenAnswer(UpstreamFailure):
    """What came is not HTTP, or larger than the configured bound."""


def classify(error: BaseException) -> UpstreamFailure:
    """Return the failure that an aiohttp or OS error means. No message of theirs is passed on: it may name a URL."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ConnectTimedOut("The upstream did not accept a connection in time.")
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, egress.EgressDenied):
            return EgressRefused(str(cause))
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return ConnectFailed(f"The upstream's name {error.host} was not found.")
        if isinstance(error, aiohttp.ClientSSLError) or isinstance(cause, ssl.SSLError):
            return ConnectFailed(f"No safe connection to {error.host}: its certificate or TLS was refused.")
        return ConnectFailed(f"The upstream at {error.host} refused the connection or can't be reached.")
    if isinstance(error, aiohttp.ServerTimeoutError | TimeoutError):
        return ReadTimedOut("The upstream did not answer in time.")
    if isinstance(error, egress.EgressDenied):
        return EgressRefused(str(error))
    if isinstance(error.__cause__, ContentEncodingError):
        return BrokenAnswer(UNPACKABLE)
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | ConnectionError):
        return Disconnected("The upstream closed the connection before its answer was complete.")
    if isinstance(error, aiohttp.InvalidURL):
        return ConnectFailed("The upstream's address is not valid.")
    if isinstance(error, aiohttp.ClientResponseError):
        return BrokenAnswer("The upstream's answer is not valid HTTP.")
    return Disconnected("The connection to the upstream broke.")
