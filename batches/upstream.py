"""Calls to an upstream from a job: with the account's key as it is now, through the egress rules, bounded in size."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from fernet_fields.fields import DecryptionError

from gateway.directory.accounts import account_snapshot
from providers.models import ProviderAccount
from providers.snapshot import AccountSnapshot
from providers.upstream.sync_client import CheckedClient, Refused, Unreachable

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
MAX_BODY_BYTES = 4 * 2**20
MAX_LINE_BYTES = 256 * 2**20
_object = msgspec.json.Decoder(dict[str, Any])


class AccountGone(Exception):
    """The job's account is not there, disabled, or its key can't be read. The message says which."""


class Upstream:
    """A provider account as a job calls it. Its methods raise ``Unreachable`` and ``Refused``."""

    def __init__(self, account: AccountSnapshot, client: CheckedClient) -> None:
        self.account = account
        self._client = client

    def read(self, path: str) -> dict[str, Any]:
        """Return the JSON object that ``GET path`` answers."""
        return self._object("GET", path)

    def send(self, path: str, body: Any = None) -> dict[str, Any]:
        """Return the JSON object that ``POST path`` answers."""
        return self._object("POST", path, body)

    def lines(self, path: str) -> Iterator[bytes]:
        """Yield the lines of a file, without holding more than one."""
        rest = bytearray()
        for piece in self._client.pieces(path):
            end = piece.rfind(b"\n")
            if end < 0:
                rest += piece
            else:
                whole = bytes(rest) + piece[:end]
                rest = bytearray(piece[end + 1 :])
                yield from whole.split(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                raise Unreachable("broken", f"a line of the file is longer than {MAX_LINE_BYTES} bytes")
        if rest.strip():
            yield bytes(rest)

    def _object(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = self._client.call(method, path, body)
        if answer.status != 200:
            raise Refused(answer.status, answer.retry_after)
        try:
            return _object.decode(answer.body)
        except (ValueError, RecursionError):
            raise Unreachable("broken", "the upstream's answer is no JSON object") from None


@contextmanager
def upstream_of(account_name: str) -> Iterator[Upstream]:
    """Give the account's upstream; raise :class:`AccountGone` when there is none to call."""
    account = load_account(account_name)
    client = CheckedClient(
        account.url + "/",
        dict(account.headers),
        connect_timeout=min(account.connect_timeout, CONNECT_SECONDS),
        read_timeout=min(account.read_timeout, READ_SECONDS),
        max_bytes=MAX_BODY_BYTES,
    )
    with client:
        yield Upstream(account, client)


def load_account(account_name: str) -> AccountSnapshot:
    """Return the account as the tables have it now; raise :class:`AccountGone`."""
    try:
        row = ProviderAccount.objects.filter(name=account_name).first()
    except DecryptionError:
        raise AccountGone(f"The key of the provider account {account_name!r} can't be decrypted.") from None
    if row is None:
        raise AccountGone(f"The provider account {account_name!r} is gone.")
    if not row.enabled:
        raise AccountGone(f"The provider account {account_name!r} is disabled.")
    return account_snapshot(row, list(row.models.prefetch_related("subjects")), list(row.grants.all()))
