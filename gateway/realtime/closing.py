"""How sockets end: close codes, error events, and the reason of a close."""

from dataclasses import dataclass

import msgspec

from gateway.call import errors
from gateway.call.call import new_request_id
from providers.upstream.failures import UpstreamFailure
from providers.upstream.socket import HandshakeRefused

# How a session of ours ends that is not closed by either side: the close code for an error's HTTP status.
CLOSE_CODES = {400: 4400, 401: 4401, 403: 4403, 404: 4404, 408: 4408, 413: 1009, 429: 4429, 503: 1013}
INTERNAL_ERROR = 1011
GOING_AWAY = 1001


@dataclass(slots=True)
class CloseReason:
    """What ended a session: ``side`` is ``client``, ``upstream`` or ``gateway``; ``error`` goes to the client as an
    event.
    """

    side: str
    code: int
    reason: str = ""
    error: Exception | None = None


def error_event(error: Exception, event_id: str | None = None) -> str:
    """Return ``error`` as an event that every kind of session's clients understand.

    Realtime and live clients look into ``error``; clients of responses sockets look at ``code``, ``message`` and
    ``param``.
    """
    fields = errors.describe(error)["error"]
    detail = {"type": fields["type"], "code": fields["code"], "message": fields["message"], "param": fields["param"]}
    event = {
        "type": "error",
        "event_id": f"event_{new_request_id()[4:]}",
        "status": status_of(error),
        "error": {**detail, "event_id": event_id, "client_event_id": event_id},
        "code": fields["code"],
        "message": fields["message"],
        "param": fields["param"],
        "sequence_number": 0,
    }
    return msgspec.json.encode(event).decode()


def status_of(error: Exception) -> int:
    """Return the HTTP status of ``error``: an upstream's own when it refused the handshake."""
    return error.status if isinstance(error, HandshakeRefused) else errors.status_of(error)


def headers_of(error: Exception) -> list[tuple[str, str]]:
    """Return the headers of an answer for ``error``."""
    if isinstance(error, HandshakeRefused):
        kept = [
            (name.lower(), value) for name, value in error.headers.items() if name.lower().startswith("retry-after")
        ]
        return [(errors.ORIGIN_HEADER, "upstream"), *kept]
    return list(errors.headers_of(error).items())


def close_code(error: Exception) -> int:
    """Return the close code for ``error``."""
    if isinstance(error, UpstreamFailure) and not isinstance(error, HandshakeRefused):
        return INTERNAL_ERROR
    return CLOSE_CODES.get(status_of(error), INTERNAL_ERROR)


def brief(error: Exception) -> str:
    """Return the reason in a close frame for ``error``: its code."""
    return errors.code_of(error)
