"""The console's page for API tokens: made once, shown once, revoked by the function that the API calls too."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from accounts import tokens
from accounts.forms import TokenForm
from accounts.issuing import roll_token
from accounts.models import ApiToken
from accounts.scoped_admin import Scope, ScopedAdmin, choices_for, once
from accounts.sealing import seal, unseal
from accounts.words import counted

STATE_COLOURS = {"active": "success", "expired": "warning", "revoked": "danger"}

OVERLAPS = {
    "0": ("Not at all: it is revoked at once", timedelta(0)),
    "1h": ("For 1 hour", timedelta(hours=1)),
    "1d": ("For 1 day", timedelta(days=1)),
    "7d": ("For 7 days", timedelta(days=7)),
}
"""How long a token that is rolled works beside the new one."""
USUAL_OVERLAP = "1d"
SHOWN_COOKIE = "gatehouse_new_token"
SHOWN_SECONDS = 60


def state_label(token: ApiToken) -> str:
    """Return the state of a token with the time that explains it."""
    if token.state == "revoked":
        return f"revoked {token.revoked_at:%Y-%m-%d %H:%M}"
    return token.state


@choices_for(ApiToken)
def token_choices(scope: Scope, source: Any, targets: QuerySet[Any]) -> QuerySet[Any]:
    """People make tokens for themselves and for the virtual accounts of the teams they manage."""
    if source.name == "virtual_account":
        return targets.filter(team__in=scope.teams)
    return targets.filter(pk=scope.user_id)


class StateFilter(admin.SimpleListFilter):
    """Active, expired or revoked: worked out from two times."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.capitalize()) for state in STATE_COLOURS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        over = Q(expires_at__lte=timezone.now())
        match self.value():
            case "active":
                return queryset.filter(~over, revoked_at=None)
            case "expired":
                return queryset.filter(over, revoked_at=None)
            case "revoked":
                return queryset.exclude(revoked_at=None)
        return queryset


class OwnerFilter(admin.SimpleListFilter):
    """Whose tokens: mine, people's, applications'."""

    title = "owner"
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("me", "Mine"), ("user", "Users'"), ("virtual_account", "Virtual accounts'")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "me":
                return queryset.filter(user=request.user.pk)
            case "user":
                return queryset.filter(virtual_account=None)
            case "virtual_account":
                return queryset.filter(user=None)
        return queryset


@admin.register(ApiToken)
class TokenAdmin(ScopedAdmin):
    """Tokens of oneself and of one's virtual accounts; superusers see all. Only name, limits and expiry can change."""

    rights = frozenset({"view", "add", "change"})
    form = TokenForm
    list_display = ("name", "prefix", "subject", "state_badge", "expires_at", "last_used_at", "created_at")
    list_filter = (StateFilter, OwnerFilter, "expires_at")
    list_select_related = ("user", "virtual_account")
    search_fields = ("name", "prefix", "user__email", "virtual_account__name")
    search_help_text = "Name, visible part or owner"
    autocomplete_fields = ("user", "virtual_account")
    secret_lookups = ("digest",)
    ordering = ("-id",)
    actions = ("revoke_selected",)
    actions_detail = ("roll_one", "revoke_one")
    fieldsets = (
        (None, {"fields": ("name", "expires_at", "limits")}),
        ("Token", {"fields": ("prefix", "subject", "state_badge", "created_at", "last_used_at")}),
        ("What it may call", {"fields": ("access",)}),
    )

    def concerns(self, scope: Scope) -> bool:
        return True

    def narrow(self, queryset: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
        return queryset.filter(Q(user=scope.user_id) | Q(virtual_account__team__in=scope.teams))

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        if obj:
            return self.fieldsets
        scope = self.scope(request)
        owner = [*(["user"] if scope.everything else []), *(["virtual_account"] if scope.manages else [])]
        note = "Leave empty for a token of your own."
        owners = [("Owner", {"fields": owner, "description": note})] if owner else []
        return [(None, {"fields": ("name", "expires_at", "limits")}), *owners]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        shown = ("prefix", "subject", "state_badge", "created_at", "last_used_at", "access")
        frozen = ("name", "expires_at", "limits") if isinstance(obj, ApiToken) and obj.revoked_at else ()
        return (*shown, *frozen)

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.person = request.user
        return form

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        # The answer to a new token's form shows the token, so there is nothing to continue with.
        only_save = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().render_change_form(request, {**context, **only_save}, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        if change:
            # Only these, so that a page opened before a revocation can't undo it.
            obj.save(update_fields=["name", "expires_at", "limits"])
            return
        issued, secret = ApiToken.objects.issue(
            name=obj.name,
            user=obj.user,
            virtual_account=obj.virtual_account,
            expires_at=obj.expires_at,
            limits=obj.limits,
        )
        obj.__dict__.update(issued.__dict__)
        # Lives as long as this request: response_add shows it, nothing stores it.
        request.issued_token = secret  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None) -> HttpResponse:
        """Go on to the page that shows the token, so that a reload makes no other one."""
        return self.show_once(obj, request.issued_token)  # type: ignore[attr-defined]

    def show_once(self, token: ApiToken, secret: str) -> HttpResponse:
        """Return the redirect to the page that shows a new token.

        The token travels in a cookie of that page only, encrypted and for a minute: no server keeps it, and any can
        show it.
        """
        address = reverse("admin:accounts_apitoken_issued", args=[token.pk])
        response = redirect(address)
        sealed = seal(secret)
        secure = bool(settings.SESSION_COOKIE_SECURE)
        response.set_cookie(
            SHOWN_COOKIE, sealed, max_age=SHOWN_SECONDS, path=address, httponly=True, secure=secure, samesite="Strict"
        )
        return response

    def get_urls(self) -> list[Any]:
        issued = self.admin_site.admin_view(self.issued)
        return [path("<path:object_id>/issued/", issued, name="accounts_apitoken_issued"), *super().get_urls()]

    def issued(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show a new token once: what carries it is gone with the answer."""
        token: ApiToken = self.found_or_404(request, object_id)
        secret = unseal(request.COOKIES.get(SHOWN_COOKIE, ""), SHOWN_SECONDS)
        if tokens.digest(secret) != token.digest:
            self.message_user(
                request,
                "The token was shown once and can't be shown again. Lost it? Revoke it and make another.",
                "warning",
            )
            return redirect("admin:accounts_apitoken_change", token.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": "Copy your token now",
            "opts": self.opts,
            "token": token,
            "secret": secret,
            "copy_attrs": {"type": "button", "data-copy": "token"},
            **self.admin_site.example_of(token),
            "base_url": f"{settings.PUBLIC_URL}/v1" if settings.PUBLIC_URL else request.build_absolute_uri("/v1"),
        }
        response = TemplateResponse(request, "accounts/token_issued.html", context)
        response.delete_cookie(SHOWN_COOKIE, path=request.path, samesite="Strict")
        return response

    @display(description="access")
    @once
    def access(self, token: ApiToken) -> str:
        return self.admin_site.access_of(token)

    @display(description="owner", ordering="user__email")
    def subject(self, token: ApiToken) -> str:
        return str(token.user or f"{token.virtual_account} (application)")

    @display(description="state", label=STATE_COLOURS)
    def state_badge(self, token: ApiToken) -> str:
        return token.state

    @admin.action(description="Revoke the selected tokens", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Revoke through the query set method that the commands and the API call: it announces the change."""
        live = list(queryset.filter(revoked_at=None))
        revoked = ApiToken.objects.filter(pk__in=[token.pk for token in live]).revoke()
        self.message_user(request, f"Revoked {counted(revoked, 'token')}; calls are refused within a second.")

    @action(description="Roll", url_path="roll", icon="autorenew")
    def roll_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask how long the old token is to work, and on POST make the new one."""
        token: ApiToken = self.found_or_404(request, object_id)
        overlap = request.POST.get("overlap", USUAL_OVERLAP)
        error = "" if overlap in OVERLAPS else "Choose how long the old token is to work."
        if request.method == "POST" and not error:
            try:
                new, secret = roll_token(token, OVERLAPS[overlap][1])
            except ValueError as fault:
                error = str(fault)
            else:
                return self.show_once(new, secret)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Roll {token.name}",
            "opts": self.opts,
            "token": token,
            "owner": self.subject(token),
            "error": error,
            "overlaps": [(key, title, key == overlap) for key, (title, _) in OVERLAPS.items()],
            "back": reverse("admin:accounts_apitoken_change", args=[token.pk]),
        }
        return TemplateResponse(request, "accounts/token_roll.html", context)

    @action(description="Revoke", url_path="revoke", icon="block", variant=ActionVariant.DANGER)
    def revoke_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, and on POST revoke the one token."""
        token: ApiToken = self.found_or_404(request, object_id)
        back = reverse("admin:accounts_apitoken_change", args=[token.pk])
        if request.method == "POST":
            self.revoke_selected(request, ApiToken.objects.filter(pk=token.pk))
            return redirect(back)
        if token.revoked_at:
            self.message_user(request, "This token is revoked already.", messages.WARNING)
            return redirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Revoke {token.name}",
            "opts": self.opts,
            "question": format_html(
                "Revoke <strong>{}</strong> ({}…) of {}? Calls with it fail within a second. "
                "A revoked token can't be brought back.",
                token.name,
                token.prefix,
                self.subject(token),
            ),
            "button": "Revoke",
            "back": back,
        }
        return TemplateResponse(request, "console/confirm.html", context)
