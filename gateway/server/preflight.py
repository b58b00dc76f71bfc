"""What must be right before a server starts. Each fault names the setting and the fix."""

import tempfile
from typing import Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.core.files.storage.handler import InvalidStorageError

from gateway.managed import files as own_files
from gateway.server import telemetry
from usage import body_store, parquet, scheduled_exports

LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")
WEAK_KEY_CHARACTERS = 32
PROBE_BYTES = 4096
WEAK_KEY_WORDS = ("insecure", "changeme", "change-me", "secret-key", "example", "default", "password")


def start_faults(workers: int) -> list[str]:
    """Return why a server with so many workers may not start; an empty list when it may."""
    faults = []
    if settings.ENVIRONMENT == "production":
        if settings.DEBUG:
            faults.append("DEBUG: is on in production. Unset it, or set GATEHOUSE_ENV=development.")
        if weak_key(settings.SECRET_KEY):
            faults.append(
                "SECRET_KEY: is a default or too short. Unset it to have one generated, or give at least "
                f"{WEAK_KEY_CHARACTERS} random characters."
            )
        if any(weak_key(key) for key in settings.FERNET_KEYS):
            faults.append(
                "GATEHOUSE_ENCRYPTION_KEYS: holds a default or too short key. Give at least "
                f"{WEAK_KEY_CHARACTERS} random characters each."
            )
        if workers > 1 and not settings.REDIS_URL:
            faults.append(
                f"REDIS_URL: {workers} workers share the count of open sockets through Redis, and none is set. Set it, "
                "or serve with --workers 1."
            )
    if settings.METRICS_PORT and not settings.METRICS_TOKEN and settings.METRICS_HOST not in LOCAL_HOSTS:
        faults.append(
            f"GATEHOUSE_METRICS_TOKEN: is not set, and metrics would be open to all who reach {settings.METRICS_HOST}. "
            "Set it, or leave GATEHOUSE_METRICS_HOST at 127.0.0.1."
        )
    if workers < 1:
        faults.append("--workers: must be at least 1.")
    return [*faults, *folder_faults(), *storage_faults(), *telemetry.faults()]


def folder_faults() -> list[str]:
    """Return why nothing can be written where usage waits at first, and where large bodies do."""
    faults = []
    for folder in (settings.DATA_DIR, settings.TEMP_DIR, settings.DATA_DIR / "spool"):
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"\0" * PROBE_BYTES)
                file.flush()
        except OSError as error:
            why = f"{folder} can't be written ({error.strerror})"
            faults.append(f"GATEHOUSE_DATA_DIR: {why}. Name a folder that this user may write.")
            break
    return faults


STORAGES: Final = {
    own_files.ALIAS: "GATEHOUSE_FILE_STORAGE",
    body_store.ALIAS: "GATEHOUSE_REQUEST_LOG_STORAGE",
    scheduled_exports.ALIAS: "GATEHOUSE_EXPORT_STORAGE",
}
"""The variables that name storage classes, by the storages' names in the settings."""


def storage_faults() -> list[str]:
    """Return why what Gatehouse keeps itself can't be kept where the settings say."""
    faults = []
    for alias, variable in STORAGES.items():
        if alias not in settings.STORAGES:
            continue
        try:
            storages[alias]
        except (InvalidStorageError, ImproperlyConfigured, ImportError, TypeError) as error:
            fix = "Name an installed storage class; those for S3 come with pip install 'django-storages[s3]'."
            faults.append(f"{variable}: can't be used with its options ({error}). {fix}")
    if settings.EXPORT_STORAGE and "parquet" in settings.EXPORT_FORMATS and (why := parquet.fault()):
        faults.append(f"GATEHOUSE_EXPORT_FORMATS: {why}")
    return faults


def weak_key(key: str) -> bool:
    """Whether a key is widely known, or could be guessed."""
    return len(key) < WEAK_KEY_CHARACTERS or len(set(key)) < 8 or any(word in key.lower() for word in WEAK_KEY_WORDS)
