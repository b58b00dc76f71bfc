"""Rows beneath a page of the console, and what their choices show: who may change the page may change them."""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.forms import PaginationInlineFormSet

from accounts.scoped_admin import ScopedFields


class KnowingSelect(AutocompleteSelect):
    """A search field that is given the label of its value, instead of asking the database for it in every row."""

    known: tuple[str, str] | None = None

    def optgroups(self, name: str, value: Any, attr: Any = None) -> list[Any]:
        if self.known is None or [str(entry) for entry in value] != [self.known[0]]:
            return list(super().optgroups(name, value, attr))
        empty = [] if self.is_required else [self.create_option(name, "", "", False, 0)]
        return [(None, [*empty, self.create_option(name, *self.known, True, len(empty))], 0)]


class RowsFormSet(PaginationInlineFormSet):
    """Rows of an inline whose related objects were fetched with them."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        for name, shown in form.fields.items():
            if isinstance(shown.widget, KnowingSelect):
                related = form.instance._state.fields_cache.get(name)
                shown.widget.known = (str(related.pk), str(related)) if related else None


class ScopedInline(ScopedFields, TabularInline):
    """Rows shown on another model's page; the users who may change that page may change them."""

    formset = RowsFormSet
    extra = 0
    hide_title = True

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", KnowingSelect(db_field, self.admin_site))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def _parent_allows(self, request: HttpRequest, obj: Model | None) -> bool:
        parent = self.admin_site.get_model_admin(self.parent_model)
        return bool(parent.has_change_permission(request, obj) if obj else parent.has_add_permission(request))

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        parent = self.admin_site.get_model_admin(self.parent_model)
        return bool(parent.has_view_permission(request, obj))

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._parent_allows(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._parent_allows(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._parent_allows(request, obj)


class ReadOnlyInline(ScopedInline):
    """Rows of another model, shown and linked, never edited in place.

    ``link`` is a field that leads to the row's page.
    """

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Iterable[str]:
        return tuple(self.fields or ())

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @display(description="name")
    def link(self, obj: Any) -> str:
        address = reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[obj.pk])
        return format_html('<a class="text-link" href="{}">{}</a>', address, obj.name)
