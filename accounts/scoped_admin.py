"""What every page of the console shares: who sees which rows, and which targets a form may choose.

Superusers see everything. Everyone else sees what lies in their :class:`Scope`, which the site works out once a
request (``console.site``). A model's admin says with :meth:`ScopedAdmin.narrow` which rows those are; lists, pages by
id, actions, histories and choices all go through it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ERROR_FLAG
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import BadRequest, FieldDoesNotExist, ValidationError
from django.db import connection
from django.db.models import Field, Model, QuerySet, TextField
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminExpandableTextareaWidget

from accounts import versions
from accounts.audit import AuditEntry
from accounts.changes import Announced

VERSION_FIELD = "_version"
HISTORY_ENTRIES = 200
SHOWN_ROWS = 50
FILTER_CHARACTERS = 10_000
SEARCH_CHARACTERS = 500
"""Each word is a condition on each column: SQLite refuses a thousand of them."""
ALL_RIGHTS = frozenset({"view", "add", "change", "delete"})
VIEW_ONLY = frozenset({"view"})


@dataclass(frozen=True, slots=True)
class Scope:
    """What one person may see: ``everything``, or the provider accounts (id to name) and the teams (ids) they manage.

    ``enters`` is whether they may enter the console at all; without it they have no right anywhere. ``audits`` is for
    those who see everything and change nothing.
    """

    user_id: int
    user_name: str = ""
    enters: bool = True
    everything: bool = False
    audits: bool = False
    accounts: dict[int, str] = field(default_factory=dict)
    teams: frozenset[int] = frozenset()

    @property
    def sees_all(self) -> bool:
        """Whether no row is hidden from the person."""
        return self.everything or self.audits

    @property
    def manages(self) -> bool:
        """Whether the person has anything to manage at all, or sees what others manage."""
        return self.sees_all or bool(self.accounts) or bool(self.teams)


OUTSIDER = Scope(user_id=0, enters=False)

ChoiceRule = Callable[[Scope, Any, QuerySet[Any]], QuerySet[Any]]
_choice_rules: dict[type[Model], ChoiceRule] = {}


def choices_for(model: type[Model]) -> Callable[[ChoiceRule], ChoiceRule]:
    """Register the rule that narrows the targets of ``model``'s foreign keys for people who aren't superusers.

    The rule takes the scope, the foreign key and its targets; without a rule nothing can be chosen.
    """

    def register(rule: ChoiceRule) -> ChoiceRule:
        _choice_rules[model] = rule
        return rule

    return register


def may_choose(scope: Scope, source: "Field[Any, Any]", targets: QuerySet[Any]) -> QuerySet[Any]:
    """Return those of ``targets`` that the person may put into the foreign key ``source``."""
    if scope.everything:
        return targets
    rule = _choice_rules.get(source.model)
    return rule(scope, source, targets) if rule else targets.none()


def once(shown: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Work a column out once for each row: unfold asks several times for what it shows, and some cost queries."""
    name = f"_{shown.__name__}_shown"

    @wraps(shown)
    def kept(page: Any, row: Any) -> Any:
        if name not in row.__dict__:
            row.__dict__[name] = shown(page, row)
        return row.__dict__[name]

    return kept


def _shortened(items: list[Any]) -> list[Any]:
    """Return rows and the lists of what goes with them, with the first few of each and how many more there are."""
    shown: list[Any] = []
    rows = 0
    for item in items:
        if isinstance(item, list):
            shown.append(_shortened(item))
            continue
        rows += 1
        if rows > SHOWN_ROWS:
            more = sum(not isinstance(each, list) for each in items) - SHOWN_ROWS
            return [*shown, f"and {more:,} more"]
        shown.append(item)
    return shown


class ScopedFields:
    """Narrows every foreign key of a form to what the person may choose, whatever the browser sends."""

    admin_site: Any

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        scope = self.admin_site.scope(request)
        if not scope.everything:
            targets = db_field.remote_field.model._default_manager.all()
            kwargs["queryset"] = may_choose(scope, db_field, targets)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            # The pop-up menu beside every choice can't be reached by keyboard, and each target has its own page.
            field.widget = field.widget.widget
        return field


class RefusedForm:
    """A form that is out of date: whatever else is right with it, it is refused."""

    fault = ""
    page = ""

    def clean(self) -> Any:
        super().clean()  # type: ignore[misc]
        again = format_html('<a class="text-link" href="{}">Open it again</a>', self.page)
        raise ValidationError(format_html("{} Nothing was saved. {} and enter your change there.", self.fault, again))


def is_too_much(lookup: str, value: object) -> bool:
    """Whether a filter in an address is more than a database should be asked: a regular expression, which can take a
    core for as long as it likes, the two ends of a range in one text, or a value longer than any column's."""
    return lookup.rpartition("__")[2] in ("regex", "iregex", "range") or len(str(value)) > FILTER_CHARACTERS


def _key(model: type[Model], object_id: str) -> Any:
    """Return the primary key that an address names; ``None`` when it can't be one."""
    try:
        return model._meta.pk.to_python(unquote(object_id))
    except ValidationError:
        return None


def _fits(model: type[Model], name: str, value: Any) -> bool:
    """Return whether ``model``'s field of that name may begin with ``value``, which came in an address."""
    try:
        found = model._meta.get_field(name)
    except FieldDoesNotExist:
        return True  # the form's own, which shows it as it is
    if not isinstance(found, Field):
        return False
    related = found.related_model
    try:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(related, type):
                related._meta.pk.clean(each, None)  # type: ignore[arg-type]  # of no row yet
            else:
                found.to_python(each)
    except (ValidationError, ValueError, TypeError, OverflowError):
        return False
    return True


class ScopedAdmin(ScopedFields, ModelAdmin):
    """An admin page whose rows and rights follow the person's scope.

    ``rights`` is what someone who is not a superuser may do with the rows that :meth:`narrow` leaves;
    ``superuser_rights`` what a superuser may do with any. Rows outside answer 404, like rows that don't exist.
    ``reading_actions`` are the paths of a page's buttons that change nothing.
    """

    rights: frozenset[str] = frozenset()
    superuser_rights: frozenset[str] = ALL_RIGHTS
    secret_lookups: tuple[str, ...] = ()
    reading_actions: tuple[str, ...] = ()
    formfield_overrides = {TextField: {"widget": UnfoldAdminExpandableTextareaWidget}}
    list_per_page = 50
    view_on_site = False
    warn_unsaved_form = True
    change_form_before_template = "console/version.html"

    @display(description=mark_safe('<input type="checkbox" id="action-toggle" class="gh-check">'))
    def action_checkbox(self, obj: Model) -> str:
        """Return the box that selects a row: unfold's has more classes than the rest of the row."""
        box = '<input type="checkbox" name="{}" value="{}" class="action-select gh-check" aria-label="Select {}">'
        return format_html(box, ACTION_CHECKBOX_NAME, obj.pk, obj)

    def concerns(self, scope: Scope) -> bool:
        """Whether someone who is not a superuser has any business on this page."""
        return False

    def narrow(self, queryset: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
        """Return the rows of ``queryset`` that someone who is not a superuser may see."""
        return queryset.none()

    def scope(self, request: HttpRequest) -> Scope:
        """Return what the person of ``request`` may see."""
        found: Scope = self.admin_site.scope(request)
        return found

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list under the name that the side bar has for it."""
        title = capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        scope = self.scope(request)
        return queryset if scope.sees_all else self.narrow(queryset, scope)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the row. When a form is saved it is locked first, and the form must have been opened in its present
        state: else it is refused (``get_form``)."""
        key = _key(self.model, object_id)
        if key is not None and self._guards(request):
            if request.method == "POST":
                self.model._base_manager.select_for_update().filter(pk=key).values_list("pk", flat=True).first()
                stale = versions.stale(self.model, key, request.POST.get(VERSION_FIELD, ""))
                request.stale = stale  # type: ignore[attr-defined]
            else:  # before the row is read: a change in between makes the form stale, not unnoticed
                request.version = versions.version_of(self.model, key)  # type: ignore[attr-defined]
        return super().get_object(request, object_id, from_field)

    def _guards(self, request: HttpRequest) -> bool:
        """Whether the request is for the form that changes a row: posts to it run in a transaction."""
        match = request.resolver_match
        page = f"{self.opts.app_label}_{self.opts.model_name}_change"
        changing = match is not None and match.url_name == page and issubclass(self.model, Announced)
        return changing and (request.method != "POST" or connection.in_atomic_block)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return what a new row's form begins with: of the address's values those that its fields can have."""
        given = super().get_changeform_initial_data(request)
        return {name: value for name, value in given.items() if _fits(self.model, name, value)}

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        fault = getattr(request, "stale", "") if change else ""
        return type(form.__name__, (RefusedForm, form), {"fault": fault, "page": request.path}) if fault else form

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        # What was sent comes back: a form that was refused as stale stays so.
        context["version"] = request.POST.get(VERSION_FIELD) or getattr(request, "version", "")
        return super().render_change_form(request, context, *args, **kwargs)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the list. Raises ``BadRequest`` for filters that make no sense, where Django has asked for the list
        without them before, and would show a page about a broken database."""
        try:
            return super().get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            if ERROR_FLAG in request.GET:
                raise BadRequest("The filters in the address make no sense.") from error
            raise

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Do what was chosen. Raises ``BadRequest`` where a row was chosen that no list has."""
        if any(_key(self.model, each) is None for each in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise BadRequest("The form names rows that can't be.")
        return super().response_action(request, queryset)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # A filter in the address on a hash or a cipher would be an oracle for it.
        secret = lookup.split("__", 1)[0] in self.secret_lookups
        return not secret and not is_too_much(lookup, value) and super().lookup_allowed(lookup, value, request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the rows that a search finds. Raises ``BadRequest`` for one that is too long."""
        if len(search_term) > SEARCH_CHARACTERS:
            raise BadRequest(f"The search is longer than {SEARCH_CHARACTERS} characters.")
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)
        return found

    def allows(self, request: HttpRequest, right: str, obj: Model | None = None) -> bool:
        """Whether the person has ``right`` here at all or, when ``obj`` is given, on that row."""
        scope = self.scope(request)
        if scope.everything:
            return right in self.superuser_rights
        if scope.audits:
            return right == "view"
        if not scope.enters or right not in self.rights or not self.concerns(scope):
            return False
        return obj is None or self.narrow(type(obj)._default_manager.filter(pk=obj.pk), scope).exists()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "view")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.allows(request, "view", obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.allows(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.allows(request, "delete", obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return what a list can do with its rows: nothing for auditors, who send no forms."""
        found: dict[str, Any] = super().get_actions(request)
        return {} if self.scope(request).audits else found

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Return the buttons of a row's page; for auditors those that change nothing."""
        found: list[Any] = super().get_actions_detail(request, object_id)
        if not self.scope(request).audits:
            return found
        return [each for each in found if getattr(each, "path", None) in self.reading_actions]

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what goes with the rows, the first few of each kind; the counts are whole."""
        found, *rest = super().get_deleted_objects(objs, request)
        return _shortened(found), *rest

    def found_or_404(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row with this id if the person may change it; raise ``Http404`` otherwise."""
        obj = self.get_object(request, object_id)
        if obj is None or not self.has_change_permission(request, obj):
            raise Http404
        return obj

    # Rows record their own changes (``accounts.audit``), from the console or not; Django's own log would say less.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        pass

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        pass

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        pass

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Show what the audit log has of one row."""
        obj = self.get_object(request, object_id)
        if obj is None or not self.has_view_permission(request, obj):
            raise Http404
        entries = AuditEntry.objects.filter(object_type=self.opts.label_lower, object_id=str(obj.pk))
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of {obj}",
            "opts": self.opts,
            "original": obj,
            "entries": entries[:HISTORY_ENTRIES],
            "back": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[obj.pk]),
        }
        return TemplateResponse(request, "console/history.html", context)

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        # Django would send people to the index with a message; an address that isn't there is a 404 here.
        raise Http404(f"No {opts.verbose_name} has this id.")
