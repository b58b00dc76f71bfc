"""What the console's lists of models and roles are narrowed by."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin_filters import NameFilter
from providers.choices import MODEL_TYPES


class AccountFilter(NameFilter):
    """One of the accounts that the person manages."""

    title = "account"
    parameter_name = "account"

    def names(self, request: HttpRequest, model_admin: Any) -> list[str]:
        found: list[str] = model_admin.admin_site.account_names(request)
        return found

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(account__name=self.value()) if self.value() else queryset


class TypeFilter(admin.SimpleListFilter):
    """Models that may be called for one type."""

    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in MODEL_TYPES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        # JSON has no containment on SQLite; the quotes keep "image" from matching a longer name.
        return queryset.filter(model_types__icontains=f'"{self.value()}"') if self.value() else queryset


class DeprecatedFilter(admin.SimpleListFilter):
    title = "deprecation"
    parameter_name = "deprecated"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Has a date"), ("no", "Has none")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in ("yes", "no"):
            return queryset.filter(deprecated_on__isnull=self.value() == "no")
        return queryset
