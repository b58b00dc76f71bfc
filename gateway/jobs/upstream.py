"""Calls to an upstream from a job: with the account's key as it is now, through the egress rules, bounded in size."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from fernet_fields.fields import DecryptionError

from gateway.directory.accounts import account_snapshot
from gateway.objects.files import plain
from providers import azure
from providers.credentials.exchange import TokenRefused
from providers.models import ProviderAccount
from providers.redaction import redactor
from providers.snapshot import AccountSnapshot
from providers.upstream.sync_client import CheckedClient, Refused, Unreachable
from providers.upstream.sync_tokens import authorization

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
MAX_BODY_BYTES = 64 * 2**20
MAX_LINE_BYTES = 256 * 2**20
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str | None)


class AccountGone(Exception):
    """The job's account is missing or disabled, or its key can't be read. The message says which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What retrieving a job brought: the upstream's ``status`` (0: none), and the job's fields or the ``fault``
    instead."""

    status: int
    fields: Mapping[str, msgspec.Raw]
    fault: str = ""

    @property
    def state(self) -> str:
        """The job's own status, empty when there is none."""
        try:
            return _string.decode(self.fields.get("status", b"null")) or ""
        except ValueError:
            return ""

    @property
    def body(self) -> dict[str, Any]:
        """The job's fields as plain data."""
        return plain(self.fields)


class Upstream:
    """A provider account as a job calls it. Its methods raise ``Unreachable`` and ``Refused``."""

    def __init__(self, account: AccountSnapshot, client: CheckedClient) -> None:
        self.account = account
        self._client = client

    def retrieve(self, path: str) -> Answer:
        """Return the job that ``GET path`` answers."""
        return self._job("GET", path)

    def send(self, path: str, body: Any = None) -> Answer:
        """Return the job that ``POST path`` answers."""
        return self._job("POST", path, body)

    def command(self, path: str) -> None:
        """Send ``POST path``, whose answer says nothing but its status."""
        answer = self._client.call("POST", path)
        if answer.status >= 300:
            raise Refused(answer.status, answer.retry_after)

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

    def _job(self, method: str, path: str, body: Any = None) -> Answer:
        answer = self._client.call(method, path, body)
        if answer.status != 200:
            raise Refused(answer.status, answer.retry_after)
        try:
            clean = redactor(self.account.secrets).whole(answer.body)
            found = Answer(answer.status, _fields.decode(clean))
        except (ValueError, RecursionError):
            raise Unreachable("broken", "the upstream's answer is not a JSON object, or too large") from None
        if not found.state:
            raise Unreachable("broken", "the upstream's answer has no status")
        return found


@contextmanager
def upstream_of(
    account_name: str, headers: Mapping[str, str] | None = None, *, even_disabled: bool = False
) -> Iterator[Upstream]:
    """Give the account's upstream; raise :class:`AccountGone` when there is none to call. ``headers`` are sent, too."""
    account = load_account(account_name, even_disabled=even_disabled)
    if account.fault:
        raise AccountGone(account.fault)
    try:
        signed = authorization(account.token)
    except TokenRefused as refusal:
        raise Unreachable("refused", str(refusal)) from None
    client = CheckedClient(
        azure.base_url(account.url, account.api_version),
        {**(headers or {}), **{name.lower(): value for name, value in account.headers}, **signed},
        connect_timeout=min(account.connect_timeout, CONNECT_SECONDS),
        read_timeout=min(account.read_timeout, READ_SECONDS),
        max_bytes=MAX_BODY_BYTES,
    )
    with client:
        yield Upstream(account, client)


def load_account(account_name: str, *, even_disabled: bool = False) -> AccountSnapshot:
    """Return the account as the tables have it now; raise :class:`AccountGone`."""
    try:
        row = ProviderAccount.objects.filter(name=account_name).first()
    except DecryptionError:
        raise AccountGone(f"The key of the provider account {account_name!r} can't be decrypted.") from None
    if row is None:
        raise AccountGone(f"The provider account {account_name!r} is gone.")
    if not row.enabled and not even_disabled:
        raise AccountGone(f"The provider account {account_name!r} is disabled.")
    try:
        return account_snapshot(row, list(row.models.prefetch_related("subjects")), list(row.grants.all()))
    except (LookupError, TypeError, ValueError) as error:
        fault = f"The provider account {account_name!r} can't be read ({type(error).__name__})."
        raise AccountGone(fault) from None
