"""The body that begins a call over WebRTC: an SDP offer, alone or in a form beside the session's settings."""

import secrets
from typing import Any

import msgspec

from gateway.body.multipart import PartScanner
from gateway.body.upload import boundary_of
from gateway.call.errors import InvalidRequest, UnsupportedMedia

SDP = "application/sdp"
FORM = b"multipart/form-data"
PARTS = ("sdp", "session")
PART_BYTES = 2**18
_settings = msgspec.json.Decoder(dict[str, Any])


def read_offer(content_type: bytes, raw: bytes) -> tuple[str, dict[str, Any]]:
    """Return the offer and the session's settings, which are empty where the body is the offer alone.

    Raises :class:`~gateway.call.errors.InvalidRequest` and :class:`~gateway.call.errors.UnsupportedMedia`.
    """
    media = content_type.split(b";", 1)[0].strip().lower()
    if media == SDP.encode():
        return _offer(raw), {}
    if media != FORM:
        shown = media.decode("latin1")[:80] or "nothing"
        raise UnsupportedMedia(
            f"A call takes {SDP}, or multipart/form-data with the parts sdp and session: not {shown!r}."
        )
    scanner = PartScanner(boundary_of(content_type), lambda name: True, max_field_bytes=PART_BYTES)
    scanner.feed(raw)
    if not scanner.ended:
        raise InvalidRequest("The multipart body ends before its last boundary.", code="invalid_multipart")
    other = next((name for name in scanner.values if name not in PARTS), None)
    if other is not None:
        raise InvalidRequest(
            f"{other[:80]!r} is not a part of a call. Valid parts: sdp, session.",
            param=other[:80],
            code="unknown_parameter",
        )
    if "sdp" not in scanner.values:
        raise InvalidRequest(
            "Send the SDP offer in the part 'sdp', as text without a file name.",
            param="sdp",
            code="missing_required_parameter",
        )
    return _offer(scanner.values["sdp"]), read_settings(scanner.values.get("session", b"{}"), "session")


def read_settings(raw: bytes, param: str) -> dict[str, Any]:
    """Return a session's settings; raise :class:`~gateway.call.errors.InvalidRequest` for what is not an object."""
    try:
        return _settings.decode(raw)
    except (ValueError, RecursionError):
        raise InvalidRequest(f"'{param}' must be an object.", param=param, code="invalid_type") from None


def write_offer(offer: str, session: dict[str, Any]) -> tuple[str, bytes]:
    """Return the content type and the body of a form with an offer and a session's settings."""
    boundary = secrets.token_hex(16)
    pieces = []
    for name, kind, value in (
        ("sdp", SDP, offer.encode()),
        ("session", "application/json", msgspec.json.encode(session)),
    ):
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {kind}\r\n\r\n'
        pieces += [head.encode(), value, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


def _offer(raw: bytes) -> str:
    try:
        offer = raw.decode()
    except UnicodeDecodeError:
        offer = ""
    if not offer.startswith("v=0"):
        raise InvalidRequest("The SDP offer must be text that begins with 'v=0'.", param="sdp", code="invalid_offer")
    return offer
