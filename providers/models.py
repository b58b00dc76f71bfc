"""Where answers come from: provider accounts, their models, and who may use or manage them."""

from decimal import Decimal
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models import TextChoices, Value
from django.dispatch import Signal

from accounts.changes import Announced
from accounts.models import Team, User, VirtualAccount
from providers import egress, headers
from providers.bound_secrets import BoundSecrets
from providers.credentials import kinds
from providers.routing import shape as routing_shape
from providers.vendors import FEATURES, MODEL_TYPES, VENDORS, default_models_fault, resource_fault, vendor_of

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
model_name_validator = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$",
    "Use 1 to 200 letters, digits and . _ : / @ + -; begin with a letter or digit.",
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

    class Meta:
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
    def asks_stream_usage(self) -> bool:
        """Whether streams are asked for their token counts: as the account says, else as its vendor's row does."""
        if self.stream_usage == self.StreamUsage.AUTO:
            return bool(self.vendor.stream_usage)
        return self.stream_usage == self.StreamUsage.ALWAYS

    def validate_unique(self, exclude: Any = None) -> None:
        super().validate_unique(exclude)
        fault = alias_fault(self.name, account=self)
        if fault:
            raise ValidationError({"name": fault})

    def clean(self) -> None:
        if VENDORS[self.kind].virtual:
            self._check_virtual()
            return
        if not self.url:
            raise ValidationError({"base_url": f"{VENDORS[self.kind].label} has no address of its own: give one."})
        problem = egress.url_fault(self.url)
        if problem:
            raise ValidationError({"base_url": problem})
        self._check_headers()
        for field in ("open_resources", "proxy_paths"):
            value = getattr(self, field)
            if not isinstance(value, list) or not all(isinstance(entry, str) and entry for entry in value):
                raise ValidationError({field: "Give a JSON list of texts."})
        fault = default_models_fault(self.default_models)
        if fault:
            raise ValidationError({"default_models": fault})
        fault = resource_fault(self.open_resources)
        if fault:
            raise ValidationError({"open_resources": fault})

    def _check_virtual(self) -> None:
        """Raise ``ValidationError`` for what only an account with a server has."""
        given = {"base_url": self.base_url, "any_model": self.any_model, "open_resources": self.open_resources}
        given |= {"proxy_paths": self.proxy_paths, "register_fine_tuned": self.register_fine_tuned}
        faults = {name: "Virtual models have no server of their own: leave it out." for name in given if given[name]}
        if faults:
            raise ValidationError(faults)
        if self.api_key or self.extra_headers:
            raise ValidationError("Virtual models have no server of their own: leave out the key and the headers.")

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
        if headers.value_fault(self.api_key):
            raise ValidationError(f"The API key {headers.value_fault(self.api_key)}")
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

    def audit_place(self) -> tuple[str, str]:
        return self.name, ""

    def __str__(self) -> str:
        return self.name


def account_name(row: "Model | Grant | Alias") -> str:
    """Return the name of the row's account, without loading what may not be decryptable."""
    if "account" in row._state.fields_cache:
        return row.account.name
    return ProviderAccount.objects.filter(pk=row.account_id).values_list("name", flat=True).first() or ""


class Model(Announced):
    """A model of an account, under the public name ``account/name``."""

    class PriceSource(models.TextChoices):
        PUBLIC = "public", "Public price list"
        PRIVATE = "private", "Private price"

    account = models.ForeignKey(ProviderAccount, models.CASCADE, related_name="models")
    name = models.CharField(
        max_length=200, validators=[model_name_validator], help_text="The part after the slash in the model's name."
    )
    upstream_id = models.CharField(
        max_length=300, blank=True, help_text="What the vendor calls it. Empty: the same as the name."
    )
    model_types = models.JSONField(default=list, help_text="What it may be called for.")
    features = models.JSONField(default=list, blank=True)
    price_source = models.CharField(max_length=16, choices=PriceSource, default=PriceSource.PUBLIC)
    private_price = models.JSONField(
        default=dict, blank=True, help_text='In US dollars, for example {"input_mtok": "0.15", "output_mtok": "0.60"}.'
    )
    context_window = models.PositiveIntegerField(null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True)
    deprecated_on = models.DateField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    routing = models.JSONField(
        default=dict,
        blank=True,
        db_default=Value({}, models.JSONField()),
        help_text="How a virtual model spreads its calls: type and load_balance_targets, as in manifests.",
    )
    owner_key = models.CharField(
        max_length=80,
        blank=True,
        default="",
        editable=False,
        help_text="Subject who owns a fine-tuned model; empty: nobody.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["account__name", "name"]
        constraints = [models.UniqueConstraint(fields=["account", "name"], name="one_model_name_per_account")]

    announced_as = ACCOUNT_KIND
    announced_key = "account_id"

    @property
    def public_name(self) -> str:
        """The name that callers send: ``account/name``."""
        return f"{self.account.name}/{self.name}"

    def validate_unique(self, exclude: Any = None) -> None:
        super().validate_unique(exclude)
        fault = alias_fault(self.name, model=self)
        if fault:
            raise ValidationError({"name": fault})

    def clean(self) -> None:
        if not self.upstream_id:
            self.upstream_id = self.name
        for field, known in (("model_types", MODEL_TYPES), ("features", FEATURES)):
            value = getattr(self, field)
            unknown = [entry for entry in value if entry not in known] if isinstance(value, list) else [value]
            if unknown:
                raise ValidationError({field: f"Unknown: {unknown}. Valid values: {', '.join(known)}."})
        self._check_routing()
        if not self.model_types:
            raise ValidationError({"model_types": f"Choose at least one of: {', '.join(MODEL_TYPES)}."})

    def _check_routing(self) -> None:
        """Raise ``ValidationError`` for a routing that can't be followed, naming every fault with its path."""
        kind = ProviderAccount.objects.filter(pk=self.account_id).values_list("kind", flat=True).first()
        virtual = kind in VENDORS and VENDORS[kind].virtual
        if not virtual and self.routing:
            raise ValidationError({"routing": "Only models of an account of the kind virtual-model route calls."})
        if not virtual:
            return
        faults = routing_shape.faults_of(self.routing, self.model_types)
        if faults:
            raise ValidationError({"routing": [f"{path}: {problem}" if path else problem for path, problem in faults]})
        self._check_targets()

    def _check_targets(self) -> None:
        names = routing_shape.target_names(self.routing)
        accounts = ProviderAccount.objects.filter(name__in={name.partition("/")[0] for name in names})
        kinds = dict(accounts.values_list("name", "kind"))
        listed = {
            f"{account}/{name}"
            for account, name in Model.objects.filter(account__name__in=kinds).values_list("account__name", "name")
        }
        open_ones = set(accounts.filter(any_model=True).values_list("name", flat=True))
        faults = []
        for name in names:
            account = name.partition("/")[0]
            if account not in kinds:
                faults.append(f"{name}: there is no provider account {account!r}.")
            elif VENDORS[kinds[account]].virtual:
                faults.append(f"{name}: a virtual model can't be a target of another one.")
            elif name not in listed and account not in open_ones:
                faults.append(f"{name}: the account has no such model.")
        if faults:
            raise ValidationError({"routing": faults})

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.upstream_id:
            self.upstream_id = self.name
        super().save(*args, **kwargs)

    def audit_name(self) -> str:
        return f"{account_name(self)}/{self.name}"

    def audit_place(self) -> tuple[str, str]:
        return account_name(self), ""

    def __str__(self) -> str:
        return self.public_name


class Alias(Announced):
    """A former name of an account, or of one of its models: calls, limits of tokens and objects go on under it.

    It never shadows a name: no account, or model of the account, may have it.
    """

    account = models.ForeignKey(ProviderAccount, models.CASCADE, related_name="aliases")
    model = models.ForeignKey(
        Model,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="aliases",
        help_text="The model that the name is for. Empty: the account itself.",
    )
    name = models.CharField(max_length=200, validators=[model_name_validator])

    class Meta:
        verbose_name_plural = "aliases"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=models.Q(model=None), name="one_account_per_alias"),
            models.UniqueConstraint(
                fields=["account", "name"], condition=models.Q(model__isnull=False), name="one_model_per_alias"
            ),
        ]

    announced_as = ACCOUNT_KIND
    announced_key = "account_id"
    audited_in_cascades = True

    def clean(self) -> None:
        if self.model is not None and self.model.account_id != self.account_id:
            raise ValidationError({"model": "Choose a model of this account."})
        if self.model is None and "/" in self.name:
            raise ValidationError({"name": "An account's name has no slash."})
        fault = self.shadow_fault()
        if fault:
            raise ValidationError({"name": fault})

    def shadow_fault(self) -> str | None:
        """Say which live name the alias would shadow, or ``None``."""
        if self.model_id is None:
            taken = ProviderAccount.objects.filter(name=self.name).exists()
            return f"There is a provider account {self.name!r}: its calls would not be clear." if taken else None
        taken = Model.objects.filter(account_id=self.account_id, name=self.name).exists()
        return f"The account has a model {self.name!r}: its calls would not be clear." if taken else None

    def audit_name(self) -> str:
        return f"{self.name} for {self.model.audit_name() if self.model else account_name(self)}"

    def audit_place(self) -> tuple[str, str]:
        return account_name(self), ""

    def __str__(self) -> str:
        return self.name


def alias_fault(name: str, account: ProviderAccount | None = None, model: Model | None = None) -> str | None:
    """Say whose former name ``name`` is, which an ``account`` or a ``model`` is to get; ``None`` when it is free.

    A row may take back a former name of its own: :func:`keep_former_name` removes the alias.
    """
    if model is not None:
        taken = Alias.objects.filter(name=name, account_id=model.account_id, model__isnull=False).exclude(
            model_id=model.pk
        )
    else:
        taken = Alias.objects.filter(name=name, model=None).exclude(account_id=account.pk if account else None)
    alias = taken.select_related("model").first()
    if alias is None:
        return None
    whose = account_name(alias) if alias.model is None else f"the model {alias.model.name}"
    return f"{name!r} is a former name of {whose}, which calls may still use. Delete that alias first."


def keep_former_name(account: ProviderAccount, model: Model | None, old: str) -> None:
    """Let calls go on under the ``old`` name of an account, or of one of its models, that has another one by now."""
    aliases = Alias.objects.filter(account=account, model=model)
    for taken_back in aliases.filter(name=(model or account).name):
        taken_back.delete()
    if not aliases.filter(name=old).exists():
        Alias(account=account, model=model, name=old).save()


class Subject(Announced):
    """Abstract: somebody that access is given to: a user, a team, a virtual account, or everyone (all users)."""

    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="+")
    team = models.ForeignKey(Team, models.CASCADE, null=True, blank=True, related_name="+")
    virtual_account = models.ForeignKey(VirtualAccount, models.CASCADE, null=True, blank=True, related_name="+")
    everyone = models.BooleanField(default=False, help_text="All users. Virtual accounts are granted one by one.")
    key = models.CharField(
        max_length=40,
        editable=False,
        help_text="user:7, team:3, virtualaccount:2 or everyone; made from the columns above.",
    )

    class Meta:
        abstract = True

    def subject_key(self) -> str:
        """Return the subject as the directory names it: ``user:7``, ``team:3``, ``virtualaccount:2`` or
        ``everyone``.
        """
        if self.everyone:
            return "everyone"
        if self.user_id:
            return f"user:{self.user_id}"
        if self.team_id:
            return f"team:{self.team_id}"
        return f"virtualaccount:{self.virtual_account_id}"

    def clean(self) -> None:
        given = [bool(self.user_id), bool(self.team_id), bool(self.virtual_account_id), self.everyone]
        if sum(given) != 1:
            raise ValidationError("Choose exactly one: a user, a team, a virtual account, or everyone.")
        self.key = self.subject_key()

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.key = self.subject_key()
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        if self.everyone:
            return "everyone"
        return str(self.user or self.team or self.virtual_account)


def one_subject(prefix: str) -> models.CheckConstraint:
    """Return the constraint that a subject row names exactly one subject."""
    columns = ("user", "team", "virtual_account")
    condition = models.Q()
    for chosen in (*columns, "everyone"):
        row = {f"{column}__isnull": column != chosen for column in columns}
        condition |= models.Q(everyone=chosen == "everyone", **row)
    return models.CheckConstraint(name=f"{prefix}_names_one_subject", condition=condition)


class Grant(Subject):
    """A role on an account, given to a subject."""

    class Role(models.TextChoices):
        MANAGER = "manager", "Manager: edit it, its models and its access"
        USER = "user", "User: call its models"

    account = models.ForeignKey(ProviderAccount, models.CASCADE, related_name="grants")
    role = models.CharField(max_length=16, choices=Role, default=Role.USER)

    class Meta:
        constraints = [
            one_subject("grant"),
            models.UniqueConstraint(fields=["account", "role", "key"], name="grant_given_once"),
        ]

    announced_as = ACCOUNT_KIND
    announced_key = "account_id"
    audited_in_cascades = True

    def audit_name(self) -> str:
        return f"{self.role} on {account_name(self)} for {self}"

    def audit_place(self) -> tuple[str, str]:
        return account_name(self), self.team.name if self.team else ""


class ModelSubject(Subject):
    """Narrows a model to the listed subjects. A model without such rows is open to all users of its account."""

    model = models.ForeignKey(Model, models.CASCADE, related_name="subjects")

    class Meta:
        constraints = [
            one_subject("model_subject"),
            models.UniqueConstraint(fields=["model", "key"], name="model_subject_given_once"),
        ]

    announced_as = ACCOUNT_KIND
    announced_key = "model__account_id"

    def announced_keys(self) -> list[object]:
        if self._stored_owner not in (None, self.model_id):
            return [""]  # it moved to another model: many
        return [self.model.account_id]

    def audit_name(self) -> str:
        return f"of {self.model.audit_name()} for {self}"

    def audit_place(self) -> tuple[str, str]:
        return account_name(self.model), self.team.name if self.team else ""


def request_headers(account: ProviderAccount) -> dict[str, str]:
    """Return the headers that every upstream call of ``account`` carries, its key among them. Names in lower case.

    A secret that was not entered for the account's address is left out; ``account.secrets_fault`` says why.
    """
    vendor, headers = account.vendor, dict(account.vendor.headers)
    if not account.secret_fault("extra_headers_json"):
        headers |= {name.lower(): value for name, value in account.extra_headers.items()}
    if account.api_key and not account.secret_fault("credentials"):
        headers[vendor.auth_header] = f"{vendor.auth_prefix}{account.api_key}"
    if account.organization:
        headers["openai-organization"] = account.organization
    if account.project:
        headers["openai-project"] = account.project
    return headers
