"""Reading settings from environment variables. Each function raises ``ImproperlyConfigured``, in the one form of
:func:`fail`."""

import base64
import json
import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\]")
# Credentials, what belongs to a single connection, and what we set ourselves are never the client's to send upstream.
NEVER_FORWARDED = frozenset(
    [
        "authorization",
        "api-key",
        "cookie",
        "proxy-authorization",
        "host",
        "connection",
        "keep-alive",
        "content-length",
        "content-type",
        "transfer-encoding",
        "accept-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
    ]
)
METRIC_LABEL = re.compile(r"username|metadata\.[A-Za-z0-9_]{1,60}")
METADATA_KEY_CHARACTERS, MOST_METADATA_KEYS = 64, 5
LARGEST_PORT = 65_535
LEAST_SECRET_CHARACTERS = 16
SECRET_PREFIX = "whsec_"
Network = IPv4Network | IPv6Network


def fail(name: str, why: str, fix: str) -> ImproperlyConfigured:
    """Return the error for a bad setting, in the one form that all of them have."""
    return ImproperlyConfigured(f"{name}: {why} {fix}")


def text(name: str) -> str:
    """Return the variable ``name`` as it is, without whitespace around it; empty when it is not set."""
    return os.environ.get(name, "").strip()


def number(name: str, default: float, *, least: float, most: float) -> float:
    """Return the numeric variable ``name``; raise when it is not a number or out of range."""
    given = text(name)
    try:
        value = float(given) if given else float(default)
    except ValueError:
        raise fail(name, f"{given!r} is not a number.", f"Give a number from {least:g} to {most:g}.") from None
    if not least <= value <= most:
        raise fail(name, f"{value:g} is out of range.", f"Give a number from {least:g} to {most:g}.")
    return value


def whole(name: str, default: int, *, least: int, most: int) -> int:
    """Return the variable ``name``, a count; raise for a fraction too: half a session would be 0, which means
    no limit."""
    value = number(name, default, least=least, most=most)
    if not value.is_integer():
        raise fail(name, f"{value:g} is not a whole number.", f"Give a whole number from {least} to {most}.")
    return int(value)


def port_number(given: str) -> int:
    """Return the port that ``given`` says; raise ``ValueError``, with a sentence, when it says none."""
    if not re.fullmatch("[0-9]{1,5}", given) or not 1 <= int(given) <= LARGEST_PORT:
        raise ValueError(f"{given!r} is not a port. Give a whole number from 1 to {LARGEST_PORT}.")
    return int(given)


def port(name: str, default: int) -> int:
    """Return the variable ``name``, a port to listen on; raise when it is not one."""
    try:
        return port_number(text(name) or str(default))
    except ValueError as error:
        why, fix = str(error).split(". ", 1)
        raise fail(name, f"{why}.", fix) from None


def choice(name: str, default: str, options: tuple[str, ...]) -> str:
    """Return the variable ``name``; raise when it is not one of ``options``."""
    value = text(name) or default
    if value not in options:
        raise fail(name, f"{value!r} is not known.", f"Use one of: {', '.join(options)}.")
    return value


def several(name: str, options: tuple[str, ...], default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the variable ``name``, some of ``options`` separated by commas, where it is not set ``default`` or all of
    them; raise for others."""
    given = names(name)
    for entry in given:
        if entry not in options:
            raise fail(name, f"{entry!r} is not known.", f"Use some of: {', '.join(options)}.")
    return tuple(given) or default or options


def metric_labels(name: str) -> tuple[str, ...]:
    """Return the variable ``name``, labels that metrics have besides the usual ones; raise for one that they can't
    have."""
    given = names(name)
    for entry in given:
        if not METRIC_LABEL.fullmatch(entry) or given.count(entry) > 1:
            fix = "Use username and metadata.KEY, once each; a KEY has letters, digits and underscores."
            raise fail(name, f"{entry!r} can't be a label.", fix)
    return tuple(given)


def metadata_keys(name: str) -> tuple[str, ...]:
    """Return the variable ``name``, keys of metadata that usage is summed by; raise for too many, and for one that
    can't be a key."""
    given = names(name)
    for entry in given:
        if len(entry) > METADATA_KEY_CHARACTERS or '"' in entry or given.count(entry) > 1:
            fix = f"Use up to {METADATA_KEY_CHARACTERS} characters without quotation marks, each key once."
            raise fail(name, f"{entry!r} can't be a key.", fix)
    if len(given) > MOST_METADATA_KEYS:
        raise fail(name, f"{len(given)} are too many.", f"Name at most {MOST_METADATA_KEYS} keys.")
    return tuple(given)


def flag(name: str, default: bool) -> bool:
    """Return the boolean variable ``name``; raise when it is neither true nor false."""
    given = text(name).lower()
    if not given:
        return default
    if given in {"1", "true", "yes", "on"}:
        return True
    if given in {"0", "false", "no", "off"}:
        return False
    raise fail(name, f"{given!r} is neither true nor false.", "Use true or false.")


def names(name: str) -> list[str]:
    """Return the variable ``name``, a list of strings separated by commas."""
    return [entry.strip() for entry in text(name).split(",") if entry.strip()]


def networks(name: str) -> list[Network]:
    """Return a comma-separated list of networks, or single addresses."""
    found: list[Network] = []
    for entry in names(name):
        try:
            found.append(ip_network(entry, strict=False))
        except ValueError:
            raise fail(name, f"{entry!r} is not an address or a network.", "Use 10.0.0.0/8,fd00::/8.") from None
    return found


def host_names(name: str) -> list[str]:
    """Return the variable ``name``, a list of host names as Django matches them; raise when one could never match."""
    found = names(name)
    for entry in found:
        if entry != "*" and not HOST_NAME.fullmatch(entry.removeprefix(".")):
            fix = "Use names without scheme, port or path, separated by commas: ai.example.com,.example.org."
            raise fail(name, f"{entry!r} is not a host name.", fix)
    return found


def origins(name: str) -> list[str]:
    """Return the variable ``name``, a list of web origins in lower case, or ``*``; raise when a browser sends none like
    it."""
    found = [entry.lower() for entry in names(name)]
    for entry in found:
        parts = _split(entry)
        if entry != "*" and (
            parts is None or not parts.scheme or not parts.netloc or entry != f"{parts.scheme}://{parts.netloc}"
        ):
            fix = (
                "Use origins without a path, separated by commas: https://app.example.com,http://localhost:3000, or *."
            )
            raise fail(name, f"{entry!r} is not an origin.", fix)
    return found


def json_object(name: str, default: dict[str, Any]) -> dict[str, Any]:
    """Return the variable ``name``, a JSON object; raise when it is not one."""
    given = text(name)
    try:
        value = json.loads(given) if given else default
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise fail(name, "is not a JSON object.", 'Write it like {"location": "/srv/files"}.')
    return value


def patterns(name: str) -> dict[str, str]:
    """Return the variable ``name``, a JSON object of names and regular expressions; raise when it is not one."""
    found = json_object(name, {})
    for key, pattern in found.items():
        try:
            re.compile(pattern)
        except (re.error, TypeError):
            fix = 'Write it like {"employee": "E[0-9]{6}"}.'
            raise fail(name, f"{key!r} is not a regular expression.", fix) from None
    return found


def header_names(name: str) -> list[str]:
    """Return the variable ``name``, a list of headers, in lower case; raise when one may not go upstream."""
    found = [entry.lower() for entry in names(name)]
    for entry in found:
        if not HEADER_NAME.fullmatch(entry):
            raise fail(name, f"{entry!r} is not a header's name.", "Use names separated by commas: x-team,x-session.")
        if entry in NEVER_FORWARDED or entry.startswith("x-tfy-"):
            raise fail(name, f"{entry!r} never goes upstream.", "Leave it out; accounts have headers of their own.")
    return found


def web_address(name: str, example: str) -> str:
    """Return the variable ``name``, an http or https address or nothing; raise when it is something else."""
    given = text(name)
    parts = _split(given)
    if given and (parts is None or parts.scheme not in ("http", "https") or not HOST_NAME.fullmatch(host_of(given))):
        raise fail(name, "is not a web address.", f"Use {example}, or leave it out.")
    return given


def web_addresses(name: str, example: str) -> list[str]:
    """Return the variable ``name``, http or https addresses separated by commas; raise for something else."""
    given = names(name)
    for entry in given:
        parts = _split(entry)
        if parts is None or parts.scheme not in ("http", "https") or not HOST_NAME.fullmatch(host_of(entry)):
            raise fail(name, "is not a list of web addresses.", f"Use {example}, or leave it out.")
    return given


def assignments(name: str, example: str) -> list[str]:
    """Return the variable ``name``, entries like ``NAME=VALUE`` separated by commas; raise, without showing it, for
    others."""
    given = names(name)
    if not all(re.fullmatch(r"[^=\s]+\s*=.*", entry) for entry in given):
        raise fail(name, "is not a list of NAME=VALUE.", f"Write it like {example}.")
    return given


def host_of(url: str) -> str:
    """Return the host of an address as a ``Host`` header has it, without the port; an IPv6 address in brackets."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host


def address(name: str, what: str, schemes: tuple[str, ...], example: str) -> str:
    """Return the variable ``name``, an address of one of ``schemes`` or nothing; raise otherwise, without showing it:
    it may hold a password. Several brokers may be given, with ``;`` between them."""
    given = text(name)
    for one in given.split(";") if given else ():
        parts = _split(one)
        if parts is None or parts.scheme not in schemes or not _names_place(parts):
            raise fail(name, f"is not an address of {what}.", f"Use {example}, or leave it out.")
    return given


def email_address(name: str, default: str) -> str:
    """Return the variable ``name``, an e-mail address, with a name before it in ``<>`` or not; raise for others."""
    given = text(name) or default
    if not re.fullmatch(r"(?:[^<>\r\n]*<)?[^\s<>@]+@[^\s<>@]+>?", given):
        raise fail(name, f"{given!r} is not an e-mail address.", "Write it like gatehouse@example.com.")
    return given


def signing_secret(name: str, *, required: bool) -> str:
    """Return the variable ``name``, a secret to sign with: 16 characters or more, or base64 of as many bytes behind
    ``whsec_``."""
    given = text(name)
    if not given and not required:
        return ""
    if fault := signing_fault(given):
        raise fail(name, *fault)
    return given


def signing_fault(given: str) -> tuple[str, str] | None:
    """Say why a secret can't sign, and what to give instead; ``None`` when it can."""
    if len(given) < LEAST_SECRET_CHARACTERS:
        return "is too short.", "Give at least 16 random characters: they sign the webhook."
    if given.startswith(SECRET_PREFIX):
        try:
            key = base64.b64decode(given.removeprefix(SECRET_PREFIX), validate=True)
        except ValueError:
            key = b""
        if len(key) < LEAST_SECRET_CHARACTERS:
            fix = "Give the base64 of at least 16 random bytes there, or a string without the prefix."
            return f"is not base64 of a long enough key behind {SECRET_PREFIX}.", fix
    return None


def _split(url: str) -> SplitResult | None:
    """Return the parts of ``url``, or ``None`` when they can't be read or its port is not one."""
    try:
        parts = urlsplit(url)
        if re.search(r"\s", url) or parts.port == 0:
            return None
    except ValueError:
        return None
    return parts


def _names_place(parts: SplitResult) -> bool:
    if parts.scheme == "memory":
        return True
    if parts.scheme in ("redis", "rediss") and not re.fullmatch("/?[0-9]*/?", parts.path):
        return False  # the path is a database's number
    return bool(parts.path.strip("/") if parts.scheme in ("unix", "redis+socket") else parts.hostname)
