"""The data directory and the two keys that a first start makes for itself.

Both keys live in files of mode 0600 under ``GATEHOUSE_DATA_DIR``; an operator who sets the environment variable instead
(``SECRET_KEY``, ``GATEHOUSE_ENCRYPTION_KEYS``) never gets a file.
"""

import os
import secrets
from pathlib import Path

KEY_BYTES = 48


def data_directory(path: str) -> Path:
    """Return the absolute data directory, made with mode 0700 when it is missing.

    Raises ``OSError`` when it can't be made; settings turn that into a start error that names the setting.
    """
    directory = Path(path).expanduser().resolve()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def key_from_file(path: Path) -> str:
    """Return the key kept in ``path``; the first caller makes it.

    Several processes may start at once: the key is written aside and linked into place, so every one of them reads
    the same whole key.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secrets.token_urlsafe(KEY_BYTES))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its key is the key
    finally:
        os.unlink(draft)
    return _read(path)


def _read(path: Path) -> str:
    key = path.read_text().strip()
    if not key:
        raise ValueError(f"{path} is empty. Restore it from a backup, or delete it if no secret was stored yet.")
    return key
