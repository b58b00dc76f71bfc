"""The console: the admin site, who may enter it, its navigation and its look.

Every active user may sign in; what they see there is their scope (``accounts.scoped_admin``).
"""

from functools import update_wrapper
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.auth.forms import AuthenticationForm as DjangoAuthenticationForm
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import URLPattern, path, reverse_lazy
from django.views.decorators.debug import sensitive_variables
from unfold.forms import AdminOwnPasswordChangeForm, AuthenticationForm
from unfold.sites import UnfoldAdminSite

from accounts import two_factor
from accounts.acting import acting
from accounts.models import Membership
from accounts.scoped_admin import OUTSIDER, Scope, may_choose
from accounts.sign_in import is_own_password
from console.access import access_of, example_of
from console.account_health import health_of
from console.consequences import consequences
from console.token_spend import token_spend
from providers.models import ProviderAccount
from providers.permissions import accounts_managed_by

# Title, and the pages with their icons: a model's list or a page of the console's own. A page shows when the person may
# see it.
NAVIGATION: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("", (("Overview", "dashboard", "index"),)),
    ("Build", (("Playground", "forum", "playground"), ("Models", "neurology", "models"))),
    (
        "Access",
        (
            ("Tokens", "key", "tokens"),
            ("Applications", "smart_toy", "accounts.virtualaccount"),
            ("Teams", "groups", "accounts.team"),
            ("People", "person", "accounts.user"),
        ),
    ),
    (
        "Observe",
        (
            ("Requests", "receipt_long", "usage.usagerecord"),
            ("Spend", "monitoring", "spend"),
            ("Incidents", "warning", "alerts.incident"),
            ("Batches and jobs", "pending_actions", "batches.job"),
            ("Files", "draft", "batches.storedfile"),
        ),
    ),
    (
        "Govern",
        (
            ("Rate limits", "speed", "rules.ratelimit"),
            ("Budgets", "savings", "rules.budget"),
            ("Routing rules", "alt_route", "rules.routingrule"),
            ("Alerts", "notifications", "alerts.alert"),
        ),
    ),
    (
        "Settings",
        (
            ("Providers", "hub", "providers.provideraccount"),
            ("Roles", "key_vertical", "providers.grant"),
            ("Channels", "campaign", "alerts.channel"),
            ("Audit log", "history", "accounts.auditentry"),
            ("System health", "monitor_heart", "system_health"),
        ),
    ),
)


ALSO_AT = {"usage.usagerecord": "requests/", "tokens": "accounts/apitoken/"}
"""Where pages of an entry are beside those below its own address."""
SAFE = ("GET", "HEAD", "OPTIONS")
OWN_SIGN_IN = frozenset({"/admin/logout/", "/admin/password_change/", "/admin/two-factor/"})
"""What auditors may change all the same, and who lacks a second factor that is required may open: how they sign in."""
CALLS = frozenset({"playground"})
"""Entries for people who may call models from here."""
SEES_ALL = frozenset({"system_health"})
"""Entries for superusers and auditors."""
# Tailwind's teal, which unfold's own purple gives way to.
ACCENT = {
    "50": "oklch(98.4% .014 180.7)",
    "100": "oklch(95.3% .051 180.8)",
    "200": "oklch(91% .096 180.4)",
    "300": "oklch(85.5% .138 181.1)",
    "400": "oklch(77.7% .152 181.9)",
    "500": "oklch(70.4% .14 182.5)",
    "600": "oklch(52% .104 185)",
    "700": "oklch(45% .09 186.4)",
    "800": "oklch(40% .074 188.2)",
    "900": "oklch(36% .063 188.4)",
    "950": "oklch(27.7% .046 192.5)",
}


def scope_of(user: Any) -> Scope:
    """Return what ``user`` may see in the console: what they manage, and what is their own.

    ``OUTSIDER``: who may not enter.
    """
    if not user.is_active or not user.is_authenticated:
        return OUTSIDER
    if user.is_superuser:
        return Scope(user_id=user.pk, user_name=user.email, everything=True)
    if user.is_auditor:
        return Scope(user_id=user.pk, user_name=user.email, audits=True)
    managed = Membership.objects.filter(user=user, role=Membership.Role.MANAGER)
    scope = Scope(
        user_id=user.pk,
        user_name=user.email,
        accounts=dict(accounts_managed_by(user).values_list("pk", "name")),
        teams=frozenset(managed.values_list("team_id", flat=True)),
    )
    return scope


class SignInForm(AuthenticationForm):
    """Lets in every active user, instead of staff only."""

    error_messages = {**AuthenticationForm.error_messages, "invalid_login": "Wrong e-mail address or password."}

    def confirm_login_allowed(self, user: Any) -> None:
        # The admin's form asks for staff status here, Django's plain one only for an active user.
        DjangoAuthenticationForm.confirm_login_allowed(self, user)


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """Changes the person's own password. The old one is asked for under the bounds on wrong passwords."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    @sensitive_variables("old")
    def clean_old_password(self) -> str:
        old: str = self.cleaned_data["old_password"]
        if not is_own_password(self._request, old):
            raise ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return old


class OwnPassword(PasswordChangeView):
    """Django's page with that form."""

    form_class = OwnPasswordForm
    success_url = reverse_lazy("admin:password_change_done")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}


class ScopedChoices(AutocompleteJsonView):
    """The choices behind a search field: those that the form itself would take, and nothing more."""

    admin_site: Any

    def has_perm(self, request: HttpRequest, obj: Any = None) -> bool:
        scope: Scope = self.admin_site.scope(request)
        return scope.manages and not scope.audits

    def get_queryset(self) -> QuerySet[Any]:
        scope: Scope = self.admin_site.scope(self.request)
        targets = self.model_admin.model._default_manager.order_by(*self.model_admin.get_ordering(self.request))
        targets = may_choose(scope, self.source_field, targets)
        found, _ = self.model_admin.get_search_results(self.request, targets, self.term)
        return found


class ConsoleSite(UnfoldAdminSite):
    """Django's admin at ``/admin/``, open to managers and showing each what is theirs."""

    login_form = SignInForm
    index_title = "Overview"
    enable_nav_sidebar = True

    def scope(self, request: HttpRequest) -> Scope:
        """Return what the person of ``request`` may see, worked out once a request."""
        if not hasattr(request, "console_scope"):
            request.console_scope = scope_of(request.user)  # type: ignore[attr-defined]
        scope: Scope = request.console_scope  # type: ignore[attr-defined]
        return scope

    def account_names(self, request: HttpRequest) -> list[str]:
        """Return the names of the provider accounts that the person manages."""
        scope = self.scope(request)
        if scope.sees_all:
            return list(ProviderAccount.objects.order_by("name").values_list("name", flat=True))
        return sorted(scope.accounts.values())

    def access_of(self, owner: Any) -> str:
        """Return what a user, a team, a virtual account or a token may call, and through what."""
        return access_of(owner)

    def example_of(self, owner: Any) -> dict[str, str]:
        """Return the model that an example for a user or a token calls, and its types."""
        return example_of(owner)

    def token_spend(self, owner: Any) -> dict[str, tuple[str, str]]:
        """Return, by their beginnings, what the tokens of a user or an application cost within a week."""
        return token_spend(owner)

    def health_of(self, account: ProviderAccount) -> str:
        """Return how an account does: its last test, its calls of the last hour and week, and its newest errors."""
        return health_of(account)

    def consequences(self, account: ProviderAccount, *, renamed: bool = False) -> list[str]:
        """Return what breaks when the account is deleted, or only ``renamed``."""
        return consequences(account, renamed=renamed)

    def has_permission(self, request: HttpRequest) -> bool:
        return self.scope(request).enters

    def extra_urls(self) -> list[URLPattern]:
        """Return the addresses of the console's own pages; unfold puts them before the models'."""
        from console.pages.routes import ROUTES  # the pages need the models' admins, and those this site

        return [path(route, self.admin_view(view), name=name) for route, view, name in ROUTES]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Wrap a page: only who may enter sees it, and what it changes is recorded as theirs."""

        def acted(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if self.scope(request).audits and request.method not in SAFE and request.path_info not in OWN_SIGN_IN:
                raise PermissionDenied
            if (
                settings.REQUIRE_TWO_FACTOR
                and request.path_info not in OWN_SIGN_IN
                and not two_factor.is_on(request.user)
            ):
                if request.method not in SAFE:
                    raise PermissionDenied
                return redirect("admin:two_factor")
            with acting(str(request.user), "console"):
                return view(request, *args, **kwargs)

        return super().admin_view(update_wrapper(acted, view), cacheable)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the sign-in page; see :mod:`console.pages.sign_in`."""
        from console.pages.sign_in import SignIn, openid_link  # the pages need the models' admins, and those this site

        if request.method == "GET" and self.has_permission(request):
            return redirect("admin:index")
        request.current_app = self.name  # type: ignore[attr-defined]
        context = {
            **self.each_context(request),
            **openid_link(request),
            "passwords": settings.PASSWORD_SIGN_IN,
            "title": "Sign in",
            "app_path": request.get_full_path(),
            **(extra_context or {}),
        }
        form = self.login_form
        return SignIn.as_view(
            extra_context=context, authentication_form=form, template_name="admin/login.html", next_page="admin:index"
        )(request)

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Answer the search over everything; unfold's own would remember what it found when rights are taken away."""
        from console.pages.find import find  # as above

        return find(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if not settings.PASSWORD_SIGN_IN:
            raise PermissionDenied
        request.current_app = self.name  # type: ignore[attr-defined]
        context = {**self.each_context(request), **(extra_context or {})}
        return OwnPassword.as_view(extra_context=context)(request)

    def autocomplete_view(self, request: HttpRequest) -> Any:
        return ScopedChoices.as_view(admin_site=self)(request)


def own_links(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the entries of the person's own menu."""
    if not request.user.is_authenticated:
        return []
    links = [{"title": "Two-factor sign-in", "link": reverse_lazy("admin:two_factor")}]
    if settings.PASSWORD_SIGN_IN and request.user.has_usable_password():
        links.insert(0, {"title": "Change password", "link": reverse_lazy("admin:password_change")})
    return links


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the side bar in unfold's form."""
    return [
        {"title": title, "separator": bool(title), "items": [_entry(*page) for page in pages]}
        for title, pages in NAVIGATION
    ]


def _entry(title: str, icon: str, name: str) -> dict[str, Any]:
    page = f"{name.replace('.', '_')}_changelist" if "." in name else name
    entry: dict[str, Any] = {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{page}")}
    if "." in name:
        entry["permission"] = lambda request: _may_see(request, name)
    if name in CALLS:
        entry["permission"] = lambda request: not admin.site.scope(request).audits  # type: ignore[attr-defined]
    if name in SEES_ALL:
        entry["permission"] = lambda request: admin.site.scope(request).sees_all  # type: ignore[attr-defined]
    if name in ALSO_AT:
        parts = (str(entry["link"]), f"{reverse_lazy('admin:index')}{ALSO_AT[name]}")
        entry["active"] = lambda request: request.path.startswith(parts)
    return entry


def section_of(link: str) -> str:
    """Return the title of the side bar's section that has the list at this address; empty when none has."""
    for title, pages in NAVIGATION:
        for page in pages:
            if "." in page[2] and str(_entry(*page)["link"]) == link:
                return title
    return ""


def _may_see(request: HttpRequest, label: str) -> bool:
    return any(
        model_admin.has_view_permission(request)
        for model, model_admin in admin.site._registry.items()
        if model._meta.label_lower == label
    )


def stylesheet(request: HttpRequest) -> str:
    """Return the address of the console's own few styles."""
    return static("console/console.css")


def script(request: HttpRequest) -> str:
    """Return the address of what every page of the console runs."""
    return static("console/shell.js")


def find_script(request: HttpRequest) -> str:
    """Return the address of the search over everything."""
    return static("console/find.js")


def accent(request: HttpRequest) -> dict[str, str]:
    """Return the console's colour in its shades."""
    return ACCENT


def icon(request: HttpRequest) -> str:
    """Return the address of the console's icon."""
    return static("console/icon.svg")
