"""What the console's pages of provider accounts and models show of rows beneath them."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model as DjangoModel
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from accounts.scoped_inlines import ReadOnlyInline, RowsFormSet, ScopedInline
from providers.admin_views import price_summary
from providers.bound_secrets import ENCRYPTED
from providers.models import Alias, Grant, Model, ModelSubject

SUBJECTS = ("user__email", "team__name", "virtual_account__name")


class ModelColumns:
    """What is shown of a model in their list and on their account's page."""

    @display(description="types")
    def types(self, model: Model) -> str:
        return ", ".join(model.model_types)

    @display(description="price per million tokens")
    def price(self, model: Model) -> str:
        return price_summary(model)


class ModelInline(ModelColumns, ReadOnlyInline):
    """The account's models at a glance; each is edited on its own page."""

    model = Model
    fields = ("link", "types", "price", "enabled")
    find = ("name", "upstream_id")
    verbose_name_plural = "Models"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return without_secrets(super().get_queryset(request), "account").order_by("name")


class AliasInline(ReadOnlyInline):
    """Former names that still work. They come with a rename and go here."""

    model = Alias
    fields = ("name", "means")
    find = ("name",)
    per_page = 5
    verbose_name_plural = "Former names that calls may still use"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alias]:
        return super().get_queryset(request).select_related("model").order_by("name")

    def has_delete_permission(self, request: HttpRequest, obj: DjangoModel | None = None) -> bool:
        return self._parent_allows(request, obj)

    @display(description="means")
    def means(self, alias: Alias) -> str:
        return f"the model {alias.model.name}" if alias.model else "the account"


class SubjectFormSet(RowsFormSet):
    """Rows of one row's page: the same subject may not be in two of them, shown or not."""

    def clean(self) -> None:
        super().clean()
        seen: set[tuple[str, str]] = set()
        for form in self.forms:
            if not form.has_changed() and not form.instance.pk:
                continue
            if form.errors or form.cleaned_data.get("DELETE"):
                continue
            entry = (getattr(form.instance, "role", ""), form.instance.subject_key())
            if entry in seen:
                raise ValidationError(f"{form.instance} is in the list twice.")
            seen.add(entry)
        for row in self._not_shown().filter(key__in={key for _, key in seen}):
            if (getattr(row, "role", ""), row.key) in seen:
                raise ValidationError(f"{row} is in the list twice, once on another page of it.")

    def _not_shown(self) -> QuerySet[Any]:
        shown = [form.instance.pk for form in self.initial_forms if form.instance.pk]
        rows = self.model._default_manager.filter(**{self.fk.name: self.instance.pk}).exclude(pk__in=shown)
        return rows.select_related("user", "team", "virtual_account")


class GrantInline(ScopedInline):
    model = Grant
    formset = SubjectFormSet
    fields = ("role", "everyone", "user", "team", "virtual_account")
    autocomplete_fields = ("user", "team", "virtual_account")
    verbose_name = "role"
    verbose_name_plural = "Access: who manages it, who may call its models"
    ordering = ("role", "key")
    find = SUBJECTS

    def get_queryset(self, request: HttpRequest) -> QuerySet[Grant]:
        return super().get_queryset(request).select_related("user", "team", "virtual_account")


class ModelSubjectInline(ScopedInline):
    model = ModelSubject
    formset = SubjectFormSet
    fields = ("everyone", "user", "team", "virtual_account")
    autocomplete_fields = ("user", "team", "virtual_account")
    verbose_name = "subject"
    verbose_name_plural = "Only for: narrows the model to these, among those who may use the account"
    ordering = ("key",)
    find = SUBJECTS

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelSubject]:
        return super().get_queryset(request).select_related("user", "team", "virtual_account")


def without_secrets(queryset: QuerySet[Any], relation: str) -> QuerySet[Any]:
    """Return ``queryset`` joined with its account, but not with the account's secrets: no page needs them decrypted."""
    return queryset.select_related(relation).defer(*(f"{relation}__{name}" for name in ENCRYPTED))
