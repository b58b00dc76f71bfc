"""What the console's pages of provider accounts and models show of rows beneath them."""

from typing import Any

from django.db.models import Model as DjangoModel
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from accounts.scoped_inlines import ReadOnlyInline, ScopedInline
from providers.admin_views import price_summary
from providers.bound_secrets import ENCRYPTED
from providers.forms import SubjectFormSet
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
