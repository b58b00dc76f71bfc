"""Rows beneath a page of the console, and what their choices show: who may change the page may change them."""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.forms import PaginationInlineFormSet

from accounts.numbers import whole_number
from accounts.scoped_admin import SEARCH_CHARACTERS, ScopedFields

ROWS_AT_ONCE = 8
"""A page stays small however many rows there are beneath it: more are on further pages."""


class KnowingSelect(AutocompleteSelect):
    """A search field that is given the label of its value, instead of asking the database for it in every row."""

    known: tuple[str, str] | None = None

    def optgroups(self, name: str, value: Any, attr: Any = None) -> list[Any]:
        if self.known is None or [str(entry) for entry in value] != [self.known[0]]:
            return list(super().optgroups(name, value, attr))
        empty = [] if self.is_required else [self.create_option(name, "", "", False, 0)]
        return [(None, [*empty, self.create_option(name, *self.known, True, len(empty))], 0)]


class RowsFormSet(PaginationInlineFormSet):
    """One page of an inline's rows, whose related objects were fetched with them; those that the address looks for in
    ``find`` columns. What is sent is for the rows that were shown, wherever they would be by now."""

    find: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        request, rows, prefix = kwargs.get("request"), kwargs.get("queryset"), kwargs.get("prefix")
        self.find_key = f"{prefix}-find"
        self.sought = request.GET.get(self.find_key, "").strip()[:SEARCH_CHARACTERS] if request and self.find else ""
        if self.sought and rows is not None:
            kwargs["queryset"] = rows.filter(_holding(self.find, self.sought))
        super().__init__(*args, **kwargs)
        if self.is_bound and self.queryset is not None:
            self._queryset = self._sent_rows(self.queryset)

    def _sent_rows(self, rows: "QuerySet[Any]") -> list[Any]:
        """Return the rows that the form was shown with, in its order; an empty one for a row that is gone."""
        key = self.model._meta.pk.name
        shown = range(min(self.initial_form_count(), self.absolute_max))
        sent = [whole_number(self.data.get(f"{self.add_prefix(number)}-{key}", "")) for number in shown]
        found = {row.pk: row for row in rows.filter(pk__in={pk for pk in sent if pk is not None})}
        return [found.get(pk) or self.model() for pk in sent]

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        for name, shown in form.fields.items():
            if isinstance(shown.widget, KnowingSelect):
                related = form.instance._state.fields_cache.get(name)
                shown.widget.known = (str(related.pk), str(related)) if related else None


def _holding(columns: tuple[str, ...], part: str) -> Q:
    found = Q()
    for column in columns:
        found |= Q(**{f"{column}__icontains": part})
    return found


class ScopedInline(ScopedFields, TabularInline):
    """Rows shown on another model's page; the users who may change that page may change them.

    ``find`` are columns in which one may look for a part of a name, where the rows fill more than a page.
    """

    formset = RowsFormSet
    extra = 0
    hide_title = True
    per_page = ROWS_AT_ONCE
    find: tuple[str, ...] = ()

    def get_formset(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> Any:
        made = super().get_formset(request, obj, **kwargs)
        made.find = self.find
        return made

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
