"""What an account signs in with where it has no single key: a Microsoft Entra application, a Google service account, or
several keys.

Stored as JSON in the place of a key, with its ``type``: a key never begins with a brace. So several keys are encrypted
and bound to their destination as one is.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from google.auth import crypt  # slow to import, and few have such an account

ENTRA_AUTHORITY = "https://login.microsoftonline.com"
ENTRA_SCOPES = {
    "": "https://cognitiveservices.azure.com/.default",
    ".us": "https://cognitiveservices.azure.us/.default",
    ".cn": "https://cognitiveservices.azure.cn/.default",
}
"""What a token is for, by the end of the authority's host name: Azure's clouds for governments and China are apart."""
GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"
GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
MAIN_KEY = "main"
"""The name of an account's only key."""
MOST_KEYS = 20
KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,254}")
_SCOPE = re.compile(r"(https|api)://[!-~]+/\.default")
_PRINTABLE = re.compile(r"[!-~]+")


class BadCredentials(ValueError):
    """What was entered is not a valid credential. ``field`` is where it belongs; the message repeats none of it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Entra(msgspec.Struct, frozen=True, tag_field="type", tag="entra"):
    """An application of Microsoft Entra with a client secret."""

    tenant_id: str
    client_id: str
    client_secret: str
    authority: str = ENTRA_AUTHORITY
    scope: str | msgspec.UnsetType = (
        msgspec.UNSET
    )  # where it is not set, nothing is stored of it, as before there was one

    def __repr__(self) -> str:
        return f"Entra(tenant_id={self.tenant_id!r}, client_id={self.client_id!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.client_secret,)

    @property
    def token_scope(self) -> str:
        """What its tokens are for: what was given, else Azure's services in the authority's cloud."""
        if isinstance(self.scope, str):
            return self.scope
        host = urlsplit(self.authority).hostname or ""
        return ENTRA_SCOPES.get(host[-3:], ENTRA_SCOPES[""])

    @property
    def token_url(self) -> str:
        """Where its tokens come from."""
        return f"{self.authority.rstrip('/')}/{self.tenant_id}/oauth2/v2.0/token"


class ServiceAccount(msgspec.Struct, frozen=True, tag_field="type", tag="service_account"):
    """A service account of Google Cloud, as its key file has it."""

    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = GOOGLE_TOKEN_URI
    project_id: str = ""

    def __repr__(self) -> str:
        return f"ServiceAccount(client_email={self.client_email!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.private_key,)

    @property
    def token_url(self) -> str:
        """Where its tokens come from."""
        return self.token_uri

    def signer(self) -> "crypt.Signer":
        """Return what signs with the private key. Raises ``ValueError`` for one that is not valid."""
        from google.auth import crypt  # slow to import, and few have such an account

        key: crypt.Signer = crypt.RSASigner.from_string(  # type: ignore[no-untyped-call]
            self.private_key, self.private_key_id or None
        )
        return key


class Keys(msgspec.Struct, frozen=True, tag_field="type", tag="keys"):
    """Several keys by name, in their order."""

    keys: dict[str, str]

    def __repr__(self) -> str:
        return f"Keys({', '.join(self.keys)})"


Credential = Entra | ServiceAccount
_decoder = msgspec.json.Decoder(Entra | ServiceAccount | Keys)


def read(stored: str) -> Credential | None:
    """Return the credential that is stored in a key's place; ``None`` for keys. Raises :class:`BadCredentials`."""
    found = _read(stored)
    return None if isinstance(found, Keys) else found


def read_keys(stored: str) -> dict[str, str]:
    """Return the stored keys by name; a single one is called :data:`MAIN_KEY`. None for other credentials."""
    try:
        found = _read(stored)
    except BadCredentials:
        return {}
    if found is None:
        return {MAIN_KEY: stored} if stored else {}
    return dict(found.keys) if isinstance(found, Keys) else {}


def write_keys(keys: Mapping[str, str]) -> str:
    """Return keys as they are stored: a single :data:`MAIN_KEY` as it is, as every release reads it, unless it looks
    like other credentials.
    """
    single = keys.get(MAIN_KEY, "")
    if set(keys) <= {MAIN_KEY} and not _is_structured(single):
        return single
    return msgspec.json.encode(Keys(dict(keys))).decode()


def _read(stored: str) -> Credential | Keys | None:
    if not _is_structured(stored):
        return None
    try:
        return _decoder.decode(stored)
    except msgspec.DecodeError:
        raise BadCredentials("credentials", "The stored credentials can't be read: enter them again.") from None


def _is_structured(stored: str) -> bool:
    return stored.lstrip().startswith("{")


def write(credential: Credential) -> str:
    """Return the credential as it is stored."""
    return msgspec.json.encode(credential).decode()


def entra(tenant_id: str, client_id: str, client_secret: str, authority: str = "", scope: str = "") -> Entra:
    """Return an application's credential. Raises :class:`BadCredentials` for what Entra can't know."""
    asked = scope.strip() or msgspec.UNSET
    issuer = authority.strip() or ENTRA_AUTHORITY
    made = Entra(tenant_id.strip(), client_id.strip(), client_secret.strip(), issuer, asked)
    for field in ("tenant_id", "client_id", "client_secret"):
        value = getattr(made, field)
        if not value:
            raise BadCredentials(field, "Give the tenant id, the client id and the client secret together.")
        if not _PRINTABLE.fullmatch(value):
            raise BadCredentials(field, "It has no spaces, line breaks or special letters.")
    if urlsplit(made.authority).scheme not in ("http", "https"):
        raise BadCredentials("authority", f"Give an address like {ENTRA_AUTHORITY}, or leave it out.")
    if asked and not _SCOPE.fullmatch(asked):
        raise BadCredentials("scope", "Give one like https://ai.azure.com/.default, or leave it out.")
    if not _TENANT.fullmatch(made.tenant_id):
        raise BadCredentials("tenant_id", "Give the directory's id, or its domain name.")
    return made


def service_account(key_file: str) -> ServiceAccount:
    """Return the service account of a key file's JSON. Raises :class:`BadCredentials`."""
    try:
        fields = msgspec.json.decode(key_file)
    except msgspec.DecodeError:
        raise BadCredentials("key_file", "This is not JSON. Give the whole key file of a service account.") from None
    kind = fields.get("type") if isinstance(fields, dict) else None
    if kind != "service_account":
        raise BadCredentials("key_file", "Give the key file of a service account: its type is 'service_account'.")
    try:
        made = msgspec.convert(fields, ServiceAccount)
        made.signer()
    except msgspec.ValidationError:
        raise BadCredentials("key_file", "The key file has no client_email or no private_key.") from None
    except ValueError:
        raise BadCredentials("key_file", "The key file's private_key is not a valid key in PEM form.") from None
    if urlsplit(made.token_uri).scheme not in ("http", "https"):
        raise BadCredentials("key_file", "The key file's token_uri is not an address.")
    return made


FIELDS = ("tenant_id", "client_id", "client_secret", "key_file", "authority", "scope")
"""What is entered of a credential: the first three, and perhaps the last two, of an application; a service account has
a file.
"""
TAKEN: dict[str, type[Credential]] = {"entra": Entra, "google": ServiceAccount}
"""The credential that a vendor takes besides a key, by its ``auth``."""


def entered(values: Mapping[str, str]) -> Credential | None:
    """Return the credential that was entered under ``FIELDS``; ``None`` when all are empty. Raises
    :class:`BadCredentials`.
    """
    given = {name: values.get(name, "").strip() for name in FIELDS}
    if given["key_file"] and any(given[name] for name in FIELDS[:3]):
        raise BadCredentials("key_file", "Give one kind of credentials, not two.")
    if given["key_file"]:
        return service_account(given["key_file"])
    if any(given[name] for name in FIELDS[:3]):
        return entra(given["tenant_id"], given["client_id"], given["client_secret"], given["authority"], given["scope"])
    return None


def described(credential: Credential) -> str:
    """Return what is stored, in words that hold no secret."""
    if isinstance(credential, Entra):
        return f"the Entra application {credential.client_id} of {credential.tenant_id}"
    return f"the service account {credential.client_email}"
