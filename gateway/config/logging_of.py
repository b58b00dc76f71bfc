"""How Gatehouse and its libraries log: lines on standard error."""

from typing import Any

PACKAGES = ("accounts", "providers", "rules", "usage", "gateway", "batches", "alerts", "console")


def logging_of(style: str, level: str) -> dict[str, Any]:
    """Return the configuration of Python's logging for lines in ``style`` (``text`` or ``json``) from ``level`` on."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "gateway.config.log_format.LineFormatter", "style_name": style}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        # DEBUG is for our own lines: libraries then print whole heads, with tokens and keys in them.
        "root": {"handlers": ["stderr"], "level": "INFO" if level == "DEBUG" else level},
        "loggers": {
            **{name: {"level": level} for name in PACKAGES},
            "django.request": {"level": "ERROR"},
            # What clients got wrong is not an error, and needs no traceback: console.errors writes a line.
            "django.security": {"level": "CRITICAL"},
            "django.security.csrf": {"level": "WARNING"},
            "django.server": {"level": "WARNING"},
            "uvicorn.access": {"level": "WARNING"},
            "gateway.sockets": {"level": "WARNING"},  # uvicorn's lines on sockets hold whole addresses, with queries
            "aiohttp": {"level": "WARNING"},
            "celery": {"level": "WARNING"},  # it would report every look for work that is due
            "httpx": {"level": "WARNING"},
        },
    }
