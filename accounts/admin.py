"""The console's pages for users, teams and virtual accounts. Tokens have their own file."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, Model, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.http import urlencode
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm

from accounts import two_factor
from accounts.admin_filters import SUGGESTED, NameFilter
from accounts.forms import UserChangeForm, UserCreationForm, VirtualAccountForm
from accounts.models import ApiToken, Membership, Team, User, VirtualAccount
from accounts.scoped_admin import Scope, ScopedAdmin, choices_for, once
from accounts.scoped_inlines import ReadOnlyInline, ScopedInline
from accounts.token_admin import TokenAdmin, state_label

__all__ = ["TeamAdmin", "TokenAdmin", "UserAdmin", "VirtualAccountAdmin"]

# Rights come from roles on accounts and teams; Django's groups and model permissions have no say here.
admin.site.unregister(Group)
# How people sign in is on their own pages.
for model in (EmailAddress, SocialAccount, SocialApp, SocialToken, Authenticator):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@choices_for(Membership)
def membership_choices(scope: Scope, source: Any, targets: QuerySet[Any]) -> QuerySet[Any]:
    """A manager of a team may add any user to it."""
    return targets if source.name == "user" and scope.teams else targets.none()


@choices_for(VirtualAccount)
def virtual_account_choices(scope: Scope, source: Any, targets: QuerySet[Any]) -> QuerySet[Any]:
    """A team manager keeps virtual accounts within the teams they manage."""
    return targets.filter(pk__in=scope.teams)


class TokenInline(ReadOnlyInline):
    """The tokens of a user or a virtual account: their visible part and state."""

    model = ApiToken
    fields = ("link", "prefix", "state", "expires_at", "last_used_at", "spent")
    verbose_name_plural = "Tokens"
    find = ("name", "prefix")
    owner: Any = None

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return self.fields

    def get_formset(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> Any:
        self.owner = obj
        return super().get_formset(request, obj, **kwargs)

    @cached_property
    def spend(self) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = self.admin_site.token_spend(self.owner)  # type: ignore[attr-defined]
        return found

    @display(description="state")
    def state(self, token: ApiToken) -> str:
        return state_label(token)

    @display(description="7 days")
    def spent(self, token: ApiToken) -> str:
        cost, exact = self.spend.get(token.prefix, ("", ""))
        return format_html('<span title="{}">{}</span>', exact, cost) if cost else ""


class TeamsOfUserInline(ScopedInline):
    model = Membership
    verbose_name = "team"
    verbose_name_plural = "Teams"
    autocomplete_fields = ("team",)
    ordering = ("team__name",)
    find = ("team__name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("team")


class MemberInline(ScopedInline):
    model = Membership
    verbose_name = "member"
    verbose_name_plural = "Members"
    autocomplete_fields = ("user",)
    ordering = ("user__email",)
    find = ("user__email", "user__first_name", "user__last_name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("user")


class TeamFilter(NameFilter):
    """A team, among those that the person manages: whose members people are."""

    title = "team"
    parameter_name = "team"
    column = "teams__name"

    def names(self, request: HttpRequest, model_admin: Any) -> QuerySet[Any]:
        scope = model_admin.scope(request)
        teams = Team.objects.all() if scope.sees_all else Team.objects.filter(pk__in=scope.teams)
        return teams.values_list("name", flat=True)[:SUGGESTED]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.column: self.value().strip()}) if self.value() else queryset


class OwnerFilter(TeamFilter):
    """The team that owns an application."""

    column = "team__name"


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ScopedAdmin):  # type: ignore[misc]
    """Superusers' page: everyone else changes their password through the menu and sees no user list."""

    admin_site: Any
    list_per_page = 40  # type: ignore[misc]  # of two bases
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = (
        "email",
        "full_name",
        "team_names",
        "is_active",
        "is_staff",
        "is_superuser",
        "is_auditor",
        "last_login",
    )
    list_filter = ("is_active", "is_staff", "is_superuser", "is_auditor", TeamFilter)
    search_fields = ("email", "first_name", "last_name")
    search_help_text = "E-mail address or name"
    ordering = ("email",)
    filter_horizontal = ()
    readonly_fields = ("password_state", "two_factor_state", "last_login", "date_joined", "access")
    secret_lookups = ("password",)
    inlines = (TeamsOfUserInline, TokenInline)
    actions_list = ("invite_someone",)
    actions_detail = ("reset_two_factor",)
    fieldsets = (
        (None, {"fields": ("email", "password_state", "two_factor_state")}),
        ("Person", {"fields": (("first_name", "last_name"),)}),
        (
            "Rights",
            {
                "fields": ("is_active", "is_staff", "is_superuser", "is_auditor"),
                "description": "Managers of an account or a team enter this console without staff status.",
            },
        ),
        ("What they may call", {"fields": ("access",)}),
        ("Dates", {"fields": (("last_login", "date_joined"),)}),
    )
    add_fieldsets = ((None, {"fields": ("email", "usable_password", "password1", "password2")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related(Prefetch("teams", Team.objects.order_by("name")))

    def get_inlines(self, request: HttpRequest, obj: Model | None) -> tuple[Any, ...]:
        return self.inlines if obj else ()

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        if any(user.pk == request.user.pk for user in objs):
            protected = [*protected, "yourself: another superuser has to do that"]
        return found, counts, lacking, protected

    @display(description="password")
    def password_state(self, user: User) -> str:
        if not settings.PASSWORD_SIGN_IN:
            return f"Not asked for: people sign in with {settings.OIDC_NAME}"
        said, offer = (
            ("Set", "change it") if user.has_usable_password() else ("None: no sign-in with a password", "set one")
        )
        invite = f"{reverse('admin:invite')}?{urlencode({'email': user.email})}"
        links = '{} (<a class="text-link" href="../password/">{}</a>, or <a class="text-link" href="{}">by a link</a>)'
        return format_html(links, said, offer, invite)

    @display(description="two-factor sign-in")
    def two_factor_state(self, user: User) -> str:
        return "On" if two_factor.is_on(user) else "Off"

    @action(description="Invite someone", url_path="invite", icon="person_add", permissions=["add"])
    def invite_someone(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:invite")

    @action(description="Turn two-factor sign-in off", url_path="two-factor", icon="phonelink_erase")
    def reset_two_factor(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, and on POST let someone in without a code who lost theirs."""
        user: User = self.found_or_404(request, object_id)
        back = reverse("admin:accounts_user_change", args=[user.pk])
        if request.method == "POST":
            two_factor.turn_off(user)
            return redirect(back)
        question = f"Let {user.email} sign in without a code? Do so when they lost their phone and recovery codes."
        context = {
            **self.admin_site.each_context(request),
            "title": f"Two-factor sign-in of {user.email}",
            "opts": self.opts,
            "question": question,
            "button": "Turn it off",
            "back": back,
        }
        return TemplateResponse(request, "console/confirm.html", context)

    @display(description="access")
    @once
    def access(self, user: User) -> str:
        return self.admin_site.access_of(user)

    @display(description="name", ordering="last_name")
    def full_name(self, user: User) -> str:
        return user.get_full_name() or "–"

    @display(description="teams")
    def team_names(self, user: User) -> str:
        return ", ".join(team.name for team in user.teams.all()) or "–"


@admin.register(Team)
class TeamAdmin(ScopedAdmin):
    """Teams and their members; team managers edit theirs, superusers make and remove teams."""

    rights = frozenset({"view", "change"})
    list_display = ("name", "display_name", "member_count", "manager_count", "created_at")
    search_fields = ("name", "display_name")
    search_help_text = "Name"
    ordering = ("name",)
    readonly_fields = ("created_at", "access")
    inlines = (MemberInline,)
    fieldsets = (
        (None, {"fields": ("name", "display_name", "description", "created_at")}),
        ("What its members may call through it", {"fields": ("access",)}),
    )
    add_fieldsets = fieldsets[:1]

    def concerns(self, scope: Scope) -> bool:
        return bool(scope.teams)

    def narrow(self, queryset: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
        return queryset.filter(pk__in=scope.teams)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        managers = Q(memberships__role=Membership.Role.MANAGER)
        counts = {"members": Count("memberships"), "managers": Count("memberships", filter=managers)}
        return super().get_queryset(request).annotate(**counts)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        # Manifests and reports know a team by its name, so only superusers rename one.
        return self.readonly_fields if self.scope(request).everything else (*self.readonly_fields, "name")

    @display(description="access")
    @once
    def access(self, team: Team) -> str:
        return self.admin_site.access_of(team)

    @display(description="members", ordering="members")
    def member_count(self, team: Any) -> int:
        return int(team.members)

    @display(description="managers", ordering="managers")
    def manager_count(self, team: Any) -> int:
        return int(team.managers)


@admin.register(VirtualAccount)
class VirtualAccountAdmin(ScopedAdmin):
    """Applications' identities; the managers of the owning team make and edit them."""

    rights = frozenset({"view", "add", "change"})
    form = VirtualAccountForm
    list_display = ("name", "display_name", "team", "enabled", "token_count", "created_at")
    list_filter = ("enabled", OwnerFilter)
    list_select_related = ("team",)
    search_fields = ("name", "display_name")
    search_help_text = "Name"
    ordering = ("name",)
    autocomplete_fields = ("team",)
    readonly_fields = ("created_at", "new_token", "access")
    inlines = (TokenInline,)
    fieldsets = (
        (None, {"fields": ("name", "display_name", "description", "team", "enabled")}),
        ("Metadata", {"fields": ("tags",)}),
        ("What it may call", {"fields": ("access",)}),
        ("Tokens", {"fields": ("new_token", "created_at")}),
    )
    add_fieldsets = fieldsets[:2]

    def concerns(self, scope: Scope) -> bool:
        return bool(scope.teams)

    def narrow(self, queryset: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
        return queryset.filter(team__in=scope.teams)

    def get_queryset(self, request: HttpRequest) -> QuerySet[VirtualAccount]:
        live = Q(tokens__revoked_at=None)
        return super().get_queryset(request).annotate(live_tokens=Count("tokens", filter=live))

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        # Without a team the account would vanish from its maker's own list.
        if "team" in form.base_fields:
            form.base_fields["team"].required = not self.scope(request).everything
        return form

    def get_inlines(self, request: HttpRequest, obj: Model | None) -> tuple[Any, ...]:
        return self.inlines if obj else ()

    @display(description="access")
    @once
    def access(self, account: VirtualAccount) -> str:
        return self.admin_site.access_of(account)

    @display(description="tokens", ordering="live_tokens")
    def token_count(self, account: Any) -> int:
        return int(account.live_tokens)

    @display(description="new token")
    def new_token(self, account: VirtualAccount) -> str:
        address = f"../../../apitoken/add/?virtual_account={account.pk}"
        return format_html('<a class="text-link" href="{}">Make a token for this application</a>', address)
