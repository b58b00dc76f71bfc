"""What goes into the request log, and when: by the contract's modes and the header ``x-tfy-logging-config``."""

from django.conf import settings

from gateway.call.call import Call
from usage import request_log
from usage.redacting import Redactor
from usage.request_log import Bodies, Capture, RequestLog

ALWAYS, NEVER = "always", "never"


def make() -> RequestLog | None:
    """Return the request log as the settings say, not started; ``None`` when no body is to be kept."""
    if settings.REQUEST_LOG == NEVER:
        return None
    redactor = Redactor(settings.REQUEST_LOG_REDACT, settings.REQUEST_LOG_PATTERNS)
    return RequestLog(
        redactor,
        limit=settings.REQUEST_LOG_MAX_BYTES,
        memory=settings.REQUEST_LOG_BUFFER_BYTES,
        in_store=bool(settings.REQUEST_LOG_STORAGE),
    )


def wanted(call: Call) -> bool:
    """Whether the bodies of a call are to be kept."""
    if settings.REQUEST_LOG == ALWAYS:
        return True
    asked = call.options.log_bodies
    return settings.REQUEST_LOG_DEFAULT if asked is None else asked


def capture(call: Call | None, headers: list[tuple[bytes, bytes]]) -> Capture | None:
    """Return what collects the answer to a call; ``None`` where it is not to be kept, or is binary."""
    if request_log.log is None or call is None or not wanted(call):
        return None
    kind = next((value for name, value in headers if name == b"content-type"), b"")
    return request_log.log.capture(kind.decode("latin1").lower())


def add(call: Call, captured: Capture) -> None:
    """Put the bodies of a call that ended into the log."""
    if request_log.log is None:
        return
    target = call.target
    request_log.log.add(
        Bodies(
            call.request_id,
            call.caller.subject_type,
            call.caller.subject_id,
            target.account.name if target is not None else call.account_name[:64],
            call.body.raw[: request_log.log.limit + request_log.SPARE_BYTES],
            call.body.size,
            captured.parts,
            captured.size,
        )
    )
