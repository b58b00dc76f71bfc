"""A provider account: one account at a vendor, with its address, credentials and bounds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models import TextChoices
from django.dispatch import Signal

from providers import azure, egress, headers
from providers.bound_secrets import BoundSecrets
from providers.choices import default_models_fault, resource_fault
from providers.credentials import kinds
from providers.vendors import VENDORS, vendor_of

FORBIDDEN_HEADERS = frozenset(
    [
        "authorization",
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
        "cookie",
        "proxy-authorization",
    ]
)
ACCOUNT_KIND = "providers.provideraccount"
"""How the change feed calls an account, and all that belongs to it: workers load accounts as a whole."""
account_renamed = Signal()
"""Sent with ``old`` and ``new`` in the transaction that renames an account."""
account_named = Signal()
"""Sent with a ``name`` to ask what is stored that sends calls to it: receivers return a list of :class:`Named`."""


@dataclass(frozen=True, slots=True)
class Named:
    """A row that sends calls to an account: what people call it, and the type and name of the manifest that writes
    it."""

    said: str
    manifest: tuple[str, str]


def who_names(name: str) -> list[Named]:
    """Return all that is stored and sends calls to an account of this name."""
    answers: list[tuple[Any, Any]] = account_named.send(ProviderAccount, name=name)
    return [each for _, found in answers for each in found]


def named_fault(name: str, named: Iterable[Named]) -> str:
    """Say what already sends calls to an account of this ``name``, which is not there yet."""
    who = ", ".join(each.said for each in named)
    return (
        f"Calls would go to models of {name!r} at once, past its grants: {who} still names the account that had this "
        "name. Change or delete that first, or choose another name."
    )


class ProviderAccount(BoundSecrets):
    """One account at a vendor: address, credentials, bounds, and how its objects are shared.

    A key never leaves for another host than it was entered for (``providers.bound_secrets``).
    """

    class Isolation(TextChoices):
        OWNER = "owner", "Owner: objects belong to the caller who made them"
        TEAM = "team", "Team: the caller's teams share them"
        ACCOUNT = "account", "Account: everybody who may use the account shares them"

    class StreamUsage(TextChoices):
        AUTO = "auto", "As vendors of this kind take it"
        ALWAYS = "always", "Always: ask for it with stream_options"
        NEVER = "never", "Never: the upstream refuses stream_options"

    organization = models.CharField(max_length=200, blank=True)
    project = models.CharField(max_length=200, blank=True)
    api_version = models.CharField(
        "API version",
        max_length=40,
        blank=True,
        default="",
        db_default="",
        validators=[RegexValidator(azure.VERSION, "Write it like 2024-10-21, 2025-04-01-preview, v1 or preview.")],
        help_text="Azure only: the api-version that calls name. Empty: none below …/openai/v1, "
        f"{azure.NEWEST_VERSION} below …/openai.",
    )
    connect_timeout = models.FloatField(
        default=10, validators=[MinValueValidator(0.1), MaxValueValidator(300)], help_text="Seconds to connect."
    )
    read_timeout = models.FloatField(
        default=600,
        validators=[MinValueValidator(0.1), MaxValueValidator(7200)],
        help_text="Seconds without a byte from upstream before the call is given up.",
    )
    finish_seconds = models.FloatField(
        default=0,
        db_default=0,
        validators=[MinValueValidator(0), MaxValueValidator(600)],
        help_text="Seconds that a call may take to finish when its client leaves, for a vendor that bills the whole "
        "anyway: then the record has its real usage. 0: the call is ended at once and its usage estimated.",
    )
    connection_limit = models.PositiveIntegerField(
        default=0, help_text="Open upstream connections per worker at most; 0: no limit."
    )
    enabled = models.BooleanField(default=True)
    any_model = models.BooleanField(
        "any model", default=False, help_text="Also pass on upstream model names that are not listed here."
    )
    discount_percent = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        default=Decimal(0),
        validators=[MinValueValidator(-100), MaxValueValidator(100)],
        help_text="Off the list price; below zero it is a surcharge. What vendors add in a region is added without it.",
    )
    isolation = models.CharField(max_length=16, choices=Isolation, default=Isolation.OWNER)
    open_resources = models.JSONField(
        default=list, blank=True, help_text="OpenAI resources opened for passthrough, by name. Empty: none."
    )
    proxy_paths = models.JSONField(
        default=list,
        blank=True,
        help_text='Path patterns allowed under /proxy/, for example ["v1/rerank", "v1/agents/*"].',
    )
    register_fine_tuned = models.BooleanField(
        default=False, help_text="Register the model of a succeeded fine-tuning job on this account."
    )
    default_models = models.JSONField(
        default=dict,
        db_default=models.Value({}, output_field=models.JSONField()),
        blank=True,
        help_text="Models of calls that name none, by operation or model type, for example "
        '{"moderation": "omni-moderation-latest"}. What is left out is as the vendor has it.',
    )
    stream_usage = models.CharField(
        max_length=8,
        choices=StreamUsage,
        default=StreamUsage.AUTO,
        db_default=StreamUsage.AUTO.value,
        help_text="Whether streams are asked for their token counts. Without them their cost is unknown.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    _stored_name: str | None = None
    names_are_judged = True
    """Not of what is saved with others, which may be what names it: who saves them judges all at once."""

    class Meta:
        verbose_name = "provider account"
        verbose_name_plural = "providers"
        ordering = ["name"]

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        instance = super().from_db(*args, **kwargs)
        instance._stored_name = instance.__dict__.get("name")
        return instance

    @property
    def vendor(self) -> Any:
        """The vendor's row in the catalogue."""
        return vendor_of(self.kind, self.url)

    @property
    def called_version(self) -> str:
        """The ``api-version`` of its calls; empty: they name none."""
        return self.api_version or str(self.vendor.api_version)

    @property
    def asks_stream_usage(self) -> bool:
        """Whether streams are asked for their token counts: as the account says, else as its vendor's row does."""
        if self.stream_usage == self.StreamUsage.AUTO:
            return bool(self.vendor.stream_usage)
        return self.stream_usage == self.StreamUsage.ALWAYS

    def validate_unique(self, exclude: Any = None) -> None:
        super().validate_unique(exclude)
        alias = self._aliases().filter(name=self.name, model=None).exclude(account_id=self.pk).first()
        if alias is not None:
            raise ValidationError({"name": alias.taken_fault()})

    def clean(self) -> None:
        if self.names_are_judged and self.name != self._stored_name and (named := who_names(self.name)):
            raise ValidationError({"name": named_fault(self.name, named)})
        if VENDORS[self.kind].virtual:
            self._check_virtual()
            return
        if not self.url:
            raise ValidationError({"base_url": f"{VENDORS[self.kind].label} has no address of its own: give one."})
        problem = egress.url_fault(self.url)
        if problem:
            raise ValidationError({"base_url": problem})
        self._check_version()
        self._check_headers()
        for field in ("open_resources", "proxy_paths"):
            value = getattr(self, field)
            if not isinstance(value, list) or not all(isinstance(entry, str) and entry for entry in value):
                raise ValidationError({field: "Give a JSON list of strings."})
        fault = default_models_fault(self.default_models)
        if fault:
            raise ValidationError({"default_models": fault})
        fault = resource_fault(self.open_resources)
        if fault:
            raise ValidationError({"open_resources": fault})

    def _check_virtual(self) -> None:
        """Raise ``ValidationError`` for what only an account with a server has."""
        given = {"base_url": self.base_url, "api_version": self.api_version, "any_model": self.any_model}
        given |= {"open_resources": self.open_resources}
        given |= {"proxy_paths": self.proxy_paths, "register_fine_tuned": self.register_fine_tuned}
        faults = {name: "Virtual models have no server of their own: leave it out." for name in given if given[name]}
        if faults:
            raise ValidationError(faults)
        if self.api_key or self.extra_headers:
            raise ValidationError("Virtual models have no server of their own: leave out the key and the headers.")

    def _check_version(self) -> None:
        """Raise ``ValidationError`` for an address or a version that no call to Azure could have."""
        if not self.vendor.deployments:
            if self.api_version:
                raise ValidationError({"api_version": f"{VENDORS[self.kind].label} takes none: leave it out."})
            return
        fault = azure.address_fault(self.url)
        if fault:
            raise ValidationError({"base_url": fault})
        if self.api_version and bool(self.vendor.api_version) != self.api_version.startswith("20"):
            said = "like 2024-10-21 below …/openai" if self.vendor.api_version else "v1 or preview below …/openai/v1"
            raise ValidationError({"api_version": f"Write one {said}, or leave it out."})

    def _check_headers(self) -> None:
        """Raise ``ValidationError`` for what no HTTP header can carry: a call that has it can't be sent at all."""
        faults = {field: headers.value_fault(getattr(self, field)) for field in ("organization", "project")}
        if any(faults.values()):
            raise ValidationError({field: f"It {fault}" for field, fault in faults.items() if fault})
        if "credentials" in self._entered:
            self._check_key()
        for name, value in self.extra_headers.items():
            if name.lower() in FORBIDDEN_HEADERS:
                raise ValidationError(f"Extra header {name!r} is set by Gatehouse itself.")
            if not headers.NAME.fullmatch(name):
                raise ValidationError(f"{name!r} is not a valid header name: use letters, digits and dashes.")
            if headers.value_fault(value):
                raise ValidationError(f"The value of extra header {name!r} {headers.value_fault(value)}")

    def _check_key(self) -> None:
        """Raise ``ValidationError`` for a key that can't be sent, and credentials that the vendor does not take."""
        wrong = _keys_fault(self.keys)
        if wrong:
            raise ValidationError(wrong)
        try:
            credential = self.credential
        except kinds.BadCredentials as error:
            raise ValidationError(str(error)) from None
        if credential is None:
            return
        vendor = VENDORS[self.kind]
        if not isinstance(credential, kinds.TAKEN.get(vendor.auth, ())):
            raise ValidationError(f"{vendor.label} does not take these credentials. Give an API key.")
        fault = egress.url_fault(credential.token_url)
        if fault:
            raise ValidationError(f"Tokens can't be fetched from the credentials' address. {fault}")

    def save(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic(using=kwargs.get("using")):
            super().save(*args, **kwargs)
            if self._stored_name not in (None, self.name):
                account_renamed.send(type(self), old=self._stored_name, new=self.name)
        self._stored_name = self.name

    @classmethod
    def _aliases(cls) -> Any:
        """Return the former names of all accounts and models, whose rows belong to accounts."""
        related: Any = cls._meta.get_field("aliases").related_model
        return related.objects

    def audit_place(self) -> tuple[str, str]:
        return self.name, ""

    def __str__(self) -> str:
        return self.name


def _keys_fault(keys: Mapping[str, str]) -> str:
    """Say what is wrong with keys by name, without repeating one; empty: nothing."""
    if len(keys) > kinds.MOST_KEYS:
        return f"An account has at most {kinds.MOST_KEYS} keys."
    for name, key in keys.items():
        if not kinds.KEY_NAME.fullmatch(name):
            return f"{name[:40]!r} names no key: use up to 40 letters, digits, dots, dashes and underscores."
        fault = headers.value_fault(key) if key else "is empty."
        if fault:
            return f"The API key {fault}" if len(keys) == 1 else f"The API key {name!r} {fault}"
    return "Two of the API keys are the same." if len(set(keys.values())) < len(keys) else ""


def request_headers(account: ProviderAccount, key: str = "") -> dict[str, str]:
    """Return the headers that every upstream call of ``account`` carries, its key among them. Names in lower case.

    ``key`` is the name of one of several keys; without it the first is taken. A secret that was not entered for the
    account's address is left out; ``account.secrets_fault`` says why.
    """
    vendor, headers = account.vendor, dict(account.vendor.headers)
    if not account.secret_fault("extra_headers_json"):
        headers |= {name.lower(): value for name, value in account.extra_headers.items()}
    value = account.keys.get(key) or account.api_key
    if value and not account.secret_fault("credentials"):
        headers[vendor.auth_header] = f"{vendor.auth_prefix}{value}"
    if account.organization:
        headers["openai-organization"] = account.organization
    if account.project:
        headers["openai-project"] = account.project
    return headers
