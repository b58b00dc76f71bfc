"""Secrets that belong to one host: an account's key and extra headers, and how they are stored and read.

They are encrypted at rest and write-only everywhere. The seal beside them says, encrypted too, which origin each was
entered for (``providers.seals``).
"""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Self

import msgspec
from django.db import models, router, transaction
from fernet_fields import DecryptionError, EncryptedTextField

from accounts.changes import Announced, AnnouncedQuerySet
from accounts.models import slug_validator
from providers import seals
from providers.credentials import kinds
from providers.credentials.kinds import Credential
from providers.origins import origin
from providers.vendors import VENDORS, kind_choices

SECRETS = ("credentials", "extra_headers_json")
"""The columns whose plain text may go to one origin only."""
ENCRYPTED = (*SECRETS, "seal")
"""The columns that no page needs decrypted."""
SECRET_NAMES = {"credentials": "API key", "extra_headers_json": "extra headers"}


class ChangedMeanwhile(Exception):
    """The account's address is not the one any more that this instance was loaded with. Load it again."""


class BoundSecretsQuerySet(AnnouncedQuerySet):
    """A query set that can't move an account to another address behind its key's back."""

    def update(self, **kwargs: Any) -> int:
        if not {"base_url", "kind", *ENCRYPTED}.isdisjoint(kwargs):
            raise ValueError("Change an account's address and secrets with save(): it binds the one to the other.")
        return super().update(**kwargs)


class BoundSecrets(Announced):
    """Abstract: what has a name, an address (``base_url``, or that of its ``kind``) and secrets for it.

    Saving a changed scheme, host or port clears the secrets that were not entered again. Secrets are written only when
    they were entered or cleared, never because they were loaded.
    """

    kind = models.CharField(max_length=40, choices=kind_choices, default="openai")
    name = models.CharField(
        max_length=64,
        unique=True,
        validators=[slug_validator],
        help_text="The part before the slash in a model's name.",
    )
    base_url = models.CharField(
        max_length=500,
        blank=True,
        help_text="Empty: the vendor's own address. Must be https unless the operator allows it.",
    )
    credentials = EncryptedTextField(blank=True, default="", editable=False)
    extra_headers_json = EncryptedTextField(blank=True, default="", editable=False)
    seal = EncryptedTextField(blank=True, null=True, default="", editable=False)

    objects: ClassVar[Any] = BoundSecretsQuerySet.as_manager()

    _stored_url: str | None = None
    _stored_kind: str | None = None
    _entered: frozenset[str] = frozenset()
    """The secrets that were entered or cleared since the row was loaded."""
    _key_changes: tuple[Mapping[str, str], frozenset[str]] | None = None
    """The keys that were entered, and the names of those that were removed, beside others that are to stay."""

    class Meta:
        abstract = True

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        instance = super().from_db(*args, **kwargs)
        # The address that the stored key was entered for.
        instance._stored_url = instance.__dict__.get("base_url")
        instance._stored_kind = instance.__dict__.get("kind")
        return instance

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        super().refresh_from_db(*args, **kwargs)  # it also loads what was deferred, a column at a time
        fields = kwargs.get("fields")
        if fields is None or "base_url" in fields:
            self._stored_url = self.__dict__.get("base_url")
        if fields is None or "kind" in fields:
            self._stored_kind = self.__dict__.get("kind")
        if fields is None:
            self._entered, self._key_changes = frozenset(), None

    def _stored_address(self) -> tuple[str, str] | None:
        """Return the saved base URL and kind; columns that were not loaded are asked for. ``None``: not saved yet."""
        if self._stored_url is not None and self._stored_kind is not None:
            return self._stored_url, self._stored_kind
        if self._state.adding:
            return None
        return type(self).objects.filter(pk=self.pk).values_list("base_url", "kind").first()

    @property
    def url(self) -> str:
        """The address that calls go to, without a trailing slash."""
        return (self.base_url or VENDORS[self.kind].base_url).rstrip("/")

    @property
    def api_key(self) -> str:
        """The stored key, the first of several; empty without one, and with other credentials."""
        return next(iter(self.keys.values()), "")

    @api_key.setter
    def api_key(self, value: str) -> None:
        self.credentials = kinds.write_keys({kinds.MAIN_KEY: value.strip()})
        self._entered |= {"credentials"}
        self._key_changes = None

    @property
    def keys(self) -> dict[str, str]:
        """The stored keys by name, in the order in which calls prefer them by default."""
        return kinds.read_keys(self.credentials)

    @keys.setter
    def keys(self, keys: Mapping[str, str]) -> None:
        self.credentials = kinds.write_keys(keys)
        self._entered |= {"credentials"}
        self._key_changes = None

    def change_keys(self, entered: Mapping[str, str], removed: Collection[str] = ()) -> None:
        """Add keys to those that are stored, or replace them, by name, and remove some; :meth:`save` writes it.

        Those that are stored when it saves stay, if they were entered for the address that the account has then.
        """
        keys = {**self.keys, **entered}
        self.keys = {name: key for name, key in keys.items() if name not in removed}
        self._key_changes = dict(entered), frozenset(removed)

    @property
    def credential(self) -> Credential | None:
        """What access tokens are fetched with, where that is stored and no key. Raises ``BadCredentials``."""
        return kinds.read(self.credentials)

    @credential.setter
    def credential(self, value: Credential) -> None:
        self.credentials = kinds.write(value)
        self._entered |= {"credentials"}

    @property
    def extra_headers(self) -> dict[str, str]:
        """Headers sent with every upstream call."""
        return msgspec.json.decode(self.extra_headers_json, type=dict[str, str]) if self.extra_headers_json else {}

    @extra_headers.setter
    def extra_headers(self, headers: dict[str, str]) -> None:
        self.extra_headers_json = msgspec.json.encode(headers).decode() if headers else ""
        self._entered |= {"extra_headers_json"}

    def origin_changed(self) -> bool:
        """Whether scheme, host or port differ from what the stored key was entered for."""
        stored = self._stored_address()
        if stored is None:
            return False
        stored_url = (stored[0] or VENDORS[stored[1]].base_url).rstrip("/")
        return origin(stored_url) != origin(self.url)

    def secret_fault(self, column: str) -> str:
        """Say why the secret in ``column`` may not be sent to the account's address; empty: it may.

        Raises ``DecryptionError``.
        """
        secret = getattr(self, column)
        if not secret or self._state.adding or column in self._entered:
            return ""
        bound = seals.read(self.seal).get(column)
        name, here = SECRET_NAMES[column], origin(self.url)
        match seals.fault(bound, secret, here):
            case seals.OTHER_HOST:
                assert bound is not None
                return f"its {name} was entered for {bound.origin}, and the address leads to {here}: enter it again."
            case seals.UNSEALED:
                return (
                    f"its {name} was stored by an older release or another program, which did not say for which host: "
                    f"enter it again, or run 'manage.py bind_key {self.name}' if it is meant for {here}."
                )
        return ""

    def secrets_fault(self) -> str:
        """Say why the stored secrets may not be sent to the account's address; empty: they may."""
        return next((fault for column in SECRETS if (fault := self.secret_fault(column))), "")

    def bind_secrets(self) -> None:
        """Take the stored secrets as entered for the present address. Save it then."""
        self._entered = frozenset(SECRETS)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; raises :class:`ChangedMeanwhile` when the row was given another address since it was loaded."""
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        if self._state.adding:
            self.bind_secrets()
        with transaction.atomic(using=using):
            self._check_row(using)
            self._change_stored_keys(using)
            if self.origin_changed():
                for column in SECRETS:
                    if column not in self._entered:
                        setattr(self, column, "")
                        self._entered |= {column}
            self._set_seal(using)
            self._choose_columns(kwargs)
            super().save(*args, **kwargs)
        self._stored_url, self._stored_kind = self.base_url, self.kind
        self._entered, self._key_changes = frozenset(), None

    def _change_stored_keys(self, using: str) -> None:
        """Make the changes of :meth:`change_keys` to what the locked row has now: another writer may have changed it.

        What is stored was entered for its own address, and must not be bound to another with what is entered now.
        """
        if self._key_changes is None or self._state.adding:
            return
        entered, removed = self._key_changes
        kept = {} if self.origin_changed() else self._bound_keys(using)
        self.keys = {name: key for name, key in {**kept, **entered}.items() if name not in removed}

    def _bound_keys(self, using: str) -> dict[str, str]:
        """Return the keys that the row has now and that may go to the present address."""
        try:
            row = type(self)._base_manager.using(using).filter(pk=self.pk).values_list("credentials", "seal").first()
        except DecryptionError:
            return {}
        if row is None or seals.fault(seals.read(row[1]).get("credentials"), row[0], origin(self.url)):
            return {}
        return kinds.read_keys(row[0])

    def _check_row(self, using: str) -> None:
        """Lock the row, and compare its address with the one that this instance was loaded with."""
        if self._state.adding:
            return
        row = type(self)._base_manager.using(using).select_for_update().filter(pk=self.pk)
        now = row.values_list("base_url", "kind").first()
        loaded = (self._stored_url, self._stored_kind)
        if now is not None and any(old not in (None, new) for old, new in zip(loaded, now, strict=True)):
            raise ChangedMeanwhile(f"The address of {self.name!r} was changed meanwhile. Load the account again.")

    def _set_seal(self, using: str) -> None:
        """Bind what was entered to the present address."""
        if not self._entered:
            return
        kept = seals.read(self._locked_seal(using))
        for column in self._entered:
            secret = getattr(self, column)
            kept.pop(column, None)
            if secret:
                kept[column] = seals.sealed(secret, origin(self.url))
        self.seal = seals.write(kept)

    def _locked_seal(self, using: str) -> str | None:
        """Return the seal that the row has now: another writer may have set it since this instance was loaded."""
        row = type(self)._base_manager.using(using).filter(pk=self.pk)
        try:
            return None if self._state.adding else row.values_list("seal", flat=True).first()
        except DecryptionError:  # under another key, as the secrets that are replaced now
            return None

    def _choose_columns(self, kwargs: dict[str, Any]) -> None:
        """Let secrets be written only when they were entered or cleared: what was loaded may be old by now."""
        chosen = kwargs.get("update_fields")
        secret = {"seal", *self._entered} if self._entered else set()
        if chosen is not None:
            kwargs["update_fields"] = {*chosen} - {*SECRETS, "seal"} | secret
        elif not (self._state.adding or kwargs.get("force_insert")):
            loaded = {field.name for field in self._meta.concrete_fields if field.attname in self.__dict__}
            kwargs["update_fields"] = loaded - {"id", *SECRETS, "seal"} | secret
