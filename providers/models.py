"""Where answers come from: provider accounts, their models, and who may use or manage them."""

from collections.abc import Collection
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Value

from accounts.changes import Announced
from providers.account import ACCOUNT_KIND, ProviderAccount
from providers.choices import FEATURES, MODEL_TYPES
from providers.routing import shape as routing_shape
from providers.routing.compiled import RoutedTarget, compile_routing
from providers.routing.nesting import Find, Inner
from providers.routing.targets import Known, target_faults
from providers.subjects import Subject, one_subject
from providers.vendors import VENDORS

__all__ = [
    "Alias",
    "Grant",
    "Model",
    "ModelSubject",
    "OfferedList",
    "ProviderAccount",
    "Subject",
    "keep_former_name",
    "model_name_validator",
]
model_name_validator = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$",
    "Use 1 to 200 letters, digits and . _ : / @ + -; begin with a letter or digit.",
)


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

    targets_are_judged = True
    """Not of rows that are saved with others, among which their targets may be: who saves them judges all at once."""

    @property
    def public_name(self) -> str:
        """The name that callers send: ``account/name``."""
        return f"{self.account.name}/{self.name}"

    def validate_unique(self, exclude: Any = None) -> None:
        super().validate_unique(exclude)
        taken = Alias.objects.filter(name=self.name, account_id=self.account_id, model__isnull=False)
        alias = taken.exclude(model_id=self.pk).select_related("model").first()
        if alias is not None:
            raise ValidationError({"name": alias.taken_fault()})

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
        account = self._state.fields_cache.get("account")
        if account is None and self.account_id is None:
            return  # the form says that the account is missing
        rows = ProviderAccount.objects.filter(pk=self.account_id)
        kind = account.kind if account is not None else rows.values_list("kind", flat=True).first()
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
        if self.targets_are_judged:
            known, name = known_targets(), self.public_name
            for stored in Model.objects.filter(pk=self.pk).values_list("account__name", "name"):
                if "/".join(stored) != name:
                    known = known.renamed("/".join(stored), name)
            faults = target_faults(name, self.routing, known)
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


def known_targets() -> Known:
    """Return what targets of virtual models may name now."""
    accounts = ProviderAccount.objects.values_list("name", "kind", "any_model")
    virtual = _virtual_kinds()
    names = Model.objects.values_list("account__name", "name")
    routed = Model.objects.filter(account__kind__in=virtual).values_list("account__name", "name", "routing")
    former_accounts, former_models = former_names()
    return Known(
        accounts={name: kind in virtual for name, kind, _ in accounts},
        models={f"{account}/{name}" for account, name in names},
        open_accounts={name for name, _, any_model in accounts if any_model},
        targets={f"{account}/{name}": routing_shape.routed_names(routing) for account, name, routing in routed},
        former_accounts=former_accounts,
        former_models=former_models,
    )


def former_names() -> tuple[dict[str, str], dict[str, str]]:
    """Return the present names by former ones: of accounts, and of models as ``account/model``."""
    rows = list(Alias.objects.values_list("account__name", "model__name", "name"))
    accounts = {name: account for account, model, name in rows if model is None}
    return accounts, {f"{account}/{name}": f"{account}/{model}" for account, model, name in rows if model is not None}


def virtual_names() -> set[str]:
    """Return the names of all virtual models."""
    rows = Model.objects.filter(account__kind__in=_virtual_kinds()).values_list("account__name", "name")
    return {f"{account}/{name}" for account, name in rows}


def stored_virtual_models(accounts: Collection[str] | None = None) -> Find:
    """Return what says which virtual model a target names now, of ``accounts`` only, where they are given.

    Raises as :func:`~providers.routing.compiled.compile_routing` does.
    """
    rows = Model.objects.filter(account__kind__in=_virtual_kinds()).exclude(routing={})
    if accounts is not None:
        rows = rows.filter(account__name__in=accounts)
    columns = ("account__name", "name", "account__enabled", "enabled", "model_types", "routing")
    found = {
        f"{account}/{name}": Inner(
            f"{account}/{name}", account_enabled and enabled, frozenset(types), compile_routing(routing)
        )
        for account, name, account_enabled, enabled, types, routing in rows.values_list(*columns)
    }
    accounts_now, models_now = former_names()

    def find(target: RoutedTarget) -> Inner | None:
        name = f"{accounts_now.get(target.account, target.account)}/{target.model}"
        return found.get(target.name) or found.get(models_now.get(name, name))

    return find


def _virtual_kinds() -> list[str]:
    return [kind for kind, vendor in VENDORS.items() if vendor.virtual]


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

    def taken_fault(self) -> str:
        """Say whose former name this is, to who wants to give it to something else.

        A row may take back a former name of its own: :func:`keep_former_name` removes the alias.
        """
        whose = account_name(self) if self.model is None else f"the model {self.model.name}"
        return f"{self.name!r} is a former name of {whose}, which calls may still use. Delete that alias first."

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


def keep_former_name(account: ProviderAccount, model: Model | None, old: str) -> None:
    """Let calls go on under the ``old`` name of an account, or of one of its models, that has another one by now."""
    aliases = Alias.objects.filter(account=account, model=model)
    for taken_back in aliases.filter(name=(model or account).name):
        taken_back.delete()
    if not aliases.filter(name=old).exists():
        Alias(account=account, model=model, name=old).save()


class Grant(Subject):
    """A role on an account, given to a subject."""

    class Role(models.TextChoices):
        MANAGER = "manager", "Manager: edit it, its models and its access"
        USER = "user", "User: call its models"

    account = models.ForeignKey(ProviderAccount, models.CASCADE, related_name="grants")
    role = models.CharField(max_length=16, choices=Role, default=Role.USER)

    class Meta:
        verbose_name = "role"
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


class OfferedList(models.Model):
    """What the server of an ``any_model`` account said that it offers: names only, as ``GET /models`` shows them.

    ``source`` is the kind and address that it was read from; the list of another one is of no use. ``fault`` says why
    the last reading, at ``tried_at``, failed; the names are those of ``read_at`` then. ``account_saved_at`` is the
    ``updated_at`` of the account that was read: another one is read again. ``lease_until`` is set while a worker reads.
    Workers reload the account when its names change (``providers.offers``).
    """

    # Without a constraint in the database: a release that does not know this table deletes accounts, too.
    account = models.OneToOneField(ProviderAccount, models.CASCADE, related_name="+", db_constraint=False)
    source = models.TextField(blank=True, default="")
    names = models.JSONField(default=list, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    fault = models.CharField(max_length=500, blank=True, default="")
    account_saved_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()  # no page shows its rows

    def __str__(self) -> str:
        return f"What the account {self.account_id} offers"
