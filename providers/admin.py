"""The console's pages for provider accounts, models and access.

They call what the commands call, and decide nothing.
"""

from typing import Any

from django.contrib import admin, messages
from django.db.models import BinaryField, Count, ExpressionWrapper, F, QuerySet
from django.db.models import Model as DjangoModel
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from fernet_fields import DecryptionError
from unfold.decorators import action, display

from accounts.scoped_admin import Scope, ScopedAdmin, choices_for, once
from accounts.words import counted
from providers import admin_rotation, admin_views
from providers.admin_filters import AccountFilter, DeprecatedFilter, TypeFilter
from providers.bound_secrets import ENCRYPTED
from providers.credentials.kinds import FIELDS
from providers.forms import (
    CapabilitiesForm,
    GrantForm,
    ProviderAccountForm,
    former_name,
)
from providers.inlines import AliasInline, GrantInline, ModelColumns, ModelInline, ModelSubjectInline, without_secrets
from providers.models import Grant, Model, ModelSubject, ProviderAccount, keep_former_name
from providers.offers import state_of
from providers.origins import origin
from providers.secret_inputs import stored_header_names, stored_key

KEY_COLUMNS = ("credentials", "seal")
KEY_COLOURS = {
    "stored": "success",
    "none": "warning",
    "unreadable": "danger",
    "for another host": "danger",
    "not needed": "info",
}


@choices_for(Grant)
@choices_for(ModelSubject)
@choices_for(Model)
def account_managers_choices(scope: Scope, source: Any, targets: QuerySet[Any]) -> QuerySet[Any]:
    """A manager of an account may give anyone access to it, and choose among the accounts they manage."""
    if source.name == "account":
        return targets.filter(pk__in=scope.accounts)
    return targets if scope.accounts else targets.none()


@admin.register(ProviderAccount)
class ProviderAccountAdmin(ScopedAdmin):
    """Accounts at vendors. Managers edit theirs; superusers make and remove accounts."""

    rights = frozenset({"view", "change"})
    form = ProviderAccountForm
    list_display = ("name", "kind", "host", "model_count", "key_state", "enabled", "updated_at")
    list_filter = ("kind", "enabled", "any_model")
    search_fields = ("name", "base_url", "organization", "project")
    search_help_text = "Name, address, organisation or project"
    ordering = ("name",)
    secret_lookups = ENCRYPTED
    readonly_fields = ("created_at", "updated_at", "now", "listed_by_server")
    inlines = (GrantInline, ModelInline, AliasInline)
    actions_detail = (
        {"title": "Add models", "icon": "playlist_add", "items": ["add_from_catalogue", "discover", "add_by_hand"]},
        "test_credentials",
        "rotate_key",
    )
    fieldsets = (
        (None, {"fields": ("kind", "name", "keep_old_name", "rename_anyway", "enabled")}),
        (
            "Address and credentials",
            {"fields": ("base_url", "api_version", "api_key", "clear_key", "organization", "project")},
        ),
        (
            "Several keys",
            {
                "classes": ("collapse",),
                "fields": ("more_keys", "remove_keys"),
                "description": "A pool of keys, encrypted and bound to the account's address like one. An account's "
                "only key is called main.",
            },
        ),
        (
            "Sign in without a key",
            {
                "classes": ("collapse",),
                "fields": ("tenant_id", "client_id", "client_secret", "authority", "scope", "key_file"),
                "description": "Azure: an application of Microsoft Entra with a client secret. Google Vertex AI: a "
                "service account. Gatehouse fetches access tokens with it. Stored encrypted in the place of a key.",
            },
        ),
        (
            "Bounds and price",
            {
                "fields": (
                    "connect_timeout",
                    "read_timeout",
                    "finish_seconds",
                    "connection_limit",
                    "discount_percent",
                )
            },
        ),
        (
            "Extra headers",
            {
                "classes": ("collapse",),
                "fields": ("headers", "clear_headers"),
                "description": "Sent with every call to the vendor, one 'Name: value' a line. Stored encrypted.",
            },
        ),
        (
            "Models and objects",
            {
                "classes": ("collapse",),
                "fields": (
                    "any_model",
                    "default_models",
                    "stream_usage",
                    "isolation",
                    "register_fine_tuned",
                    "open_resources",
                    "proxy_paths",
                ),
            },
        ),
    )

    def concerns(self, scope: Scope) -> bool:
        return bool(scope.accounts)

    def narrow(self, queryset: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
        return queryset.filter(pk__in=scope.accounts)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderAccount]:
        # The ciphers as they are: a key that can't be decrypted must not take the list down with it.
        ciphers = {f"{name}_cipher": ExpressionWrapper(F(name), output_field=BinaryField()) for name in KEY_COLUMNS}
        return super().get_queryset(request).defer(*ENCRYPTED).annotate(**ciphers, offered=Count("models"))

    def get_inlines(self, request: HttpRequest, obj: DjangoModel | None) -> tuple[Any, ...]:
        return self.inlines if obj else (GrantInline,)

    def get_form(
        self, request: HttpRequest, obj: DjangoModel | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.consequences = staticmethod(self.admin_site.consequences)
        return form

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what goes with the accounts; what depends on their names without a row of its own comes first."""
        found, *rest = super().get_deleted_objects(objs, request)
        breaks = [f"Breaks: {text}" for account in objs for text in self.admin_site.consequences(account)]
        return [*breaks, *found], *rest

    def get_fieldsets(self, request: HttpRequest, obj: DjangoModel | None = None) -> Any:
        if obj is None:
            return self.fieldsets
        listed = ("listed_by_server",) if isinstance(obj, ProviderAccount) and obj.any_model else ()
        now = (("Now", {"fields": ("now", *listed)}),)
        return (*now, *self.fieldsets, ("About", {"fields": ("created_at", "updated_at")}))

    def save_model(self, request: HttpRequest, obj: ProviderAccount, form: Any, change: bool) -> None:
        lost = _lost_by_moving(obj, form.cleaned_data) if change and obj.origin_changed() else []
        super().save_model(request, obj, form, change)
        if change and former_name(form):
            keep_former_name(obj, None, former_name(form))
        if lost:
            said = f"The address now leads to {origin(obj.url).host}. What was stored for the old one is cleared: "
            self.message_user(request, f"{said}{' and '.join(lost)}.", messages.WARNING)
        if obj.vendor.needs_key and stored_key(obj) is False:
            self.message_user(request, f"{obj} has no key: calls will fail until one is entered.", messages.WARNING)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        if "_popup" in request.POST or "_addanother" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        self.message_user(request, f"{obj} is there. Now choose its models.", messages.SUCCESS)
        return redirect("admin:providers_provideraccount_add_from_catalogue", obj.pk)

    @display(description="address")
    def host(self, account: ProviderAccount) -> str:
        return origin(account.url).host

    @display(description="models", ordering="offered")
    def model_count(self, account: Any) -> str:
        return f"{account.offered}" + (" + any" if account.any_model else "")

    @display(description="key", label=KEY_COLOURS)
    def key_state(self, account: Any) -> str:
        try:
            for name in KEY_COLUMNS:
                field: Any = ProviderAccount._meta.get_field(name)
                setattr(account, name, field.from_db_value(getattr(account, f"{name}_cipher"), None, None))
        except DecryptionError:
            return "unreadable"
        if account.credentials:
            return "for another host" if account.secret_fault("credentials") else "stored"
        return "none" if account.vendor.needs_key else "not needed"

    @display(description="how it does")
    @once
    def now(self, account: ProviderAccount) -> str:
        return self.admin_site.health_of(account)

    @display(description="listed by its server")
    def listed_by_server(self, account: ProviderAccount) -> str:
        return state_of(account)

    @action(description="Add from catalogue", url_path="catalogue", icon="playlist_add")
    def add_from_catalogue(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return admin_views.catalogue_page(self, request, self.found_or_404(request, object_id))

    @action(description="Discover models", url_path="discover", icon="travel_explore")
    def discover(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return admin_views.offers_page(self, request, self.found_or_404(request, object_id))

    @action(description="Add model", url_path="add-model", icon="add")
    def add_by_hand(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self.found_or_404(request, object_id)
        return redirect(f"{reverse('admin:providers_model_add')}?{urlencode({'account': account.pk})}")

    @action(description="Test credentials", url_path="test", icon="network_check")
    def test_credentials(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return admin_views.test_page(self, request, self.found_or_404(request, object_id))

    @action(description="Replace the key", url_path="rotate", icon="key")
    def rotate_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return admin_rotation.rotate_page(self, request, self.found_or_404(request, object_id))


def _lost_by_moving(account: ProviderAccount, entered: dict[str, Any]) -> list[str]:
    """Return what is stored and was not entered again: saving under another host clears it."""
    key = any(entered[field] for field in ("api_key", *FIELDS))
    stored = {"key": (stored_key(account), key), "extra headers": (stored_header_names(account), entered["headers"])}
    return [name for name, (there, again) in stored.items() if there != [] and there is not False and not again]


def usage_link(filters: dict[str, str], text: str) -> str:
    """Return a link to the usage list, narrowed by ``filters``."""
    return format_html(
        '<a class="text-link" href="{}?{}">{}</a>',
        reverse("admin:usage_usagerecord_changelist"),
        urlencode(filters),
        text,
    )


@admin.register(Model)
class ModelPage(ModelColumns, ScopedAdmin):
    """Models of the accounts one manages."""

    rights = frozenset({"view", "add", "change", "delete"})
    form = CapabilitiesForm
    list_display = ("public_name", "types", "price", "context_window", "deprecated_on", "enabled")
    list_filter = (AccountFilter, TypeFilter, "enabled", DeprecatedFilter, "price_source")
    list_filter_submit = True
    search_fields = ("name", "upstream_id", "account__name")
    search_help_text = "Name, upstream id or account"
    ordering = ("account__name", "name")
    autocomplete_fields = ("account",)
    readonly_fields = ("price", "usage", "created_at")
    inlines = (ModelSubjectInline,)
    change_form_after_template = "console/what_if_button.html"
    actions = ("enable", "disable")
    fieldsets = (
        (None, {"fields": ("account", "name", "keep_old_name", "upstream_id", "enabled")}),
        ("What it can do", {"fields": ("model_types", "features", "context_window", "max_output_tokens")}),
        ("Price", {"fields": ("price", "price_source", "private_price")}),
        ("Routing", {"fields": ("routing",), "description": "Of virtual models only."}),
        ("Life", {"fields": ("deprecated_on", "usage", "created_at")}),
    )
    add_fieldsets = (
        (None, {"fields": ("account", "name", "upstream_id", "enabled")}),
        fieldsets[1],
        ("Price", {"fields": ("price_source", "private_price")}),
        ("Routing", {"fields": ("routing",), "description": "Of virtual models only."}),
        ("Life", {"fields": ("deprecated_on",)}),
    )

    def concerns(self, scope: Scope) -> bool:
        return bool(scope.accounts)

    def narrow(self, queryset: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
        return queryset.filter(account__in=scope.accounts)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return without_secrets(super().get_queryset(request), "account")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.targets = frozenset(self.admin_site.account_names(request))
        return form

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row = kwargs.get("obj")
        if row is not None and row.routing and self.has_change_permission(request, row):
            context["what_if"] = f"{reverse('admin:what_if_model')}?rule={row.pk}"
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and former_name(form):
            keep_former_name(obj.account, obj, former_name(form))

    @display(description="name", ordering="name")
    def public_name(self, model: Model) -> str:
        return model.public_name

    @display(description="usage")
    def usage(self, model: Model) -> str:
        return usage_link({"model_asked": model.public_name}, "Calls of this model")

    @admin.action(description="Enable the selected models", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Model]) -> None:
        self._switch(request, queryset, True)

    @admin.action(description="Disable the selected models", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Model]) -> None:
        self._switch(request, queryset, False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Model], enabled: bool) -> None:
        chosen = list(queryset.exclude(enabled=enabled))
        # Without the joins of the list; this update announces itself.
        Model.objects.filter(pk__in=[model.pk for model in chosen]).update(enabled=enabled)
        word = "Enabled" if enabled else "Disabled"
        self.message_user(request, f"{word} {counted(len(chosen), 'model')}.", messages.SUCCESS)


@admin.register(Grant)
class GrantAdmin(ScopedAdmin):
    """Every role on every account one manages, in one list."""

    rights = frozenset({"view", "add", "change", "delete"})
    form = GrantForm
    list_display = ("account", "role", "who", "what_kind")
    list_filter = (AccountFilter, "role", "everyone")
    list_filter_submit = True
    search_fields = ("account__name", "user__email", "team__name", "virtual_account__name")
    search_help_text = "Account, e-mail address, team or virtual account"
    ordering = ("account__name", "role", "key")
    autocomplete_fields = ("account", "user", "team", "virtual_account")
    fieldsets = (
        (None, {"fields": ("account", "role")}),
        ("Given to one of", {"fields": ("user", "team", "virtual_account", "everyone")}),
    )

    def concerns(self, scope: Scope) -> bool:
        return bool(scope.accounts)

    def narrow(self, queryset: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
        return queryset.filter(account__in=scope.accounts)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Grant]:
        subjects = super().get_queryset(request).select_related("user", "team", "virtual_account")
        return without_secrets(subjects, "account")

    @display(description="given to", ordering="key")
    def who(self, grant: Grant) -> str:
        return str(grant)

    @display(description="kind", ordering="key")
    def what_kind(self, grant: Grant) -> str:
        return {"user": "user", "team": "team", "virtualaccount": "virtual account"}.get(
            grant.key.split(":")[0], "all users"
        )
