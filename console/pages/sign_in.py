"""The ways in: a password, OpenID Connect, an invitation; and the code that some are asked for behind each."""

import logging
from typing import Any

from allauth.account.internal.stagekit import clear_login
from allauth.account.stages import LoginStageController
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_safe
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from accounts import audit, two_factor
from accounts.acting import acting
from accounts.entering import enter
from accounts.invitations import accept, open_invitation
from accounts.recovery import who_recovers
from accounts.sign_in import may_try
from console.errors import error_page, locked_out

logger = logging.getLogger("console.sign_in")

CODE_STAGE = "mfa_authenticate"
CODE_CHARACTERS = 40
NAME_CHARACTERS = 150


class SignIn(LoginView):
    """Django's view, which ends in :func:`accounts.entering.enter`. Where passwords are off, it looks at none."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().post(request, *args, **kwargs) if settings.PASSWORD_SIGN_IN else no_passwords()

    def form_valid(self, form: Any) -> Any:
        return enter(self.request, form.get_user(), self.get_success_url())


def openid_link(request: HttpRequest) -> dict[str, str]:
    """Return name and address of the sign-in by OpenID Connect, for a template; nothing without one."""
    if not settings.OIDC_PROVIDER:
        return {}
    return {"openid": settings.OIDC_NAME, "openid_link": reverse("openid_connect_login")}


@never_cache
@csrf_protect
@sensitive_post_parameters()
def code(request: HttpRequest) -> HttpResponseBase:
    """Ask who gave the right password for their code. A wrong one counts like a wrong password."""
    stage = LoginStageController.enter(request, CODE_STAGE)
    if request.user.is_authenticated or stage is None or stage.login.user is None:
        return redirect("admin:index")
    person: Any = stage.login.user
    fault = ""
    if request.method == "POST":
        if not may_try(request, person.email):
            clear_login(request)
            return locked_out(request, wrong="wrong codes")
        used = two_factor.check(person, request.POST.get("code", "").strip()[:CODE_CHARACTERS])
        if used:
            with acting(person.email, "console"):
                audit.note(person, f"signed in with a {used}")
            answer: HttpResponseBase = stage.exit()
            return answer
        fault = "This code is not right, or was used before. Codes of an app change every 30 seconds."
    return _outside(request, "console/sign_in_code.html", "Enter your code", {"fault": fault})


@require_safe
@never_cache
def openid(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Lead to the provider, to sign in: what else django-allauth reads from the address has no pages here."""
    if not settings.OIDC_PROVIDER:
        return _none()
    request.GET = QueryDict()
    return _asking_provider("login", request, provider_id)


@require_safe
@never_cache
def openid_callback(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Take the provider's answer. It counts as a try from this address until a sign-in comes of it."""
    if not settings.OIDC_PROVIDER:
        return _none()
    if not may_try(request):
        return locked_out(request, wrong="failed sign-ins")
    return _asking_provider("callback", request, provider_id)


@never_cache
@csrf_protect
def link(request: HttpRequest) -> HttpResponseBase:
    """Let in whom ``manage.py sign_in_link`` made a link for. Opening it asks first: programs open links, too."""
    person = who_recovers(request.GET.get("key", "")[:500])
    if person is None:
        if not may_try(request):
            return locked_out(request, wrong="wrong links")
        return error_page(404, "This link is not open", "It was used, or has ended. Make another on the server.")
    if request.method == "POST":
        with acting(person.email, "console"):
            audit.note(person, "signed in with a link")
        return enter(request, person)
    return _outside(request, "console/sign_in_link.html", f"Sign in as {person.email}", {})


class InvitationForm(SetPasswordForm):
    """The name and the password that an invited person chooses."""

    first_name = forms.CharField(max_length=NAME_CHARACTERS, required=False, widget=UnfoldAdminTextInputWidget)
    last_name = forms.CharField(max_length=NAME_CHARACTERS, required=False, widget=UnfoldAdminTextInputWidget)
    field_order = ("first_name", "last_name", "new_password1", "new_password2")

    def __init__(self, user: Any, *args: Any, **kwargs: Any) -> None:
        names = {"first_name": user.first_name, "last_name": user.last_name}
        super().__init__(user, *args, initial=names, **kwargs)
        for name in ("new_password1", "new_password2"):
            self.fields[name].widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})


@never_cache
@csrf_protect
@sensitive_post_parameters()
def invitation(request: HttpRequest) -> HttpResponseBase:
    """Let an invited person choose a password, and in."""
    if not settings.PASSWORD_SIGN_IN:
        return no_passwords()
    found = open_invitation(request.GET.get("key", "")[:100])
    if found is None:
        if not may_try(request):
            return locked_out(request, wrong="wrong links")
        text = "It was used, replaced by a newer one, or has ended. Ask who invited you for another."
        return error_page(404, "This invitation is not open", text)
    person = found.user
    form = InvitationForm(person, request.POST or None)
    if request.method == "POST" and form.is_valid():
        names = {name: form.cleaned_data[name] for name in ("first_name", "last_name")}
        with acting(person.email, "console"):
            if accept(found, form.cleaned_data["new_password1"], **names):
                return enter(request, person)
        return redirect("admin:login")
    return _outside(request, "console/invitation.html", f"Welcome, {person.email}", {"form": form})


def _outside(request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> HttpResponse:
    shared = {**admin.site.each_context(request), **openid_link(request), "title": title, **context}
    return TemplateResponse(request, template, shared)


def _asking_provider(view: str, request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Return django-allauth's answer; a page where the provider's description can't be had, or is not enough."""
    from accounts import openid_views  # brings much that starting needs not

    title, otherwise = "No sign-in there now", ", or sign in with a password" if settings.PASSWORD_SIGN_IN else ""
    try:
        answer: HttpResponseBase = getattr(openid_views, view)(request, provider_id)
    except openid_views.BadDescription as error:
        logger.warning("The OpenID Connect provider's description of itself %s.", error)
        text = f"The description that {settings.OIDC_NAME} gives of itself {error}. Ask an administrator{otherwise}."
        hint = f"It is at {settings.OIDC_ISSUER}/.well-known/openid-configuration (GATEHOUSE_OIDC_ISSUER)."
        return error_page(502, title, text, hint)
    except OSError as error:  # what requests raises
        logger.warning("The OpenID Connect provider can't be asked how to sign in: %s", type(error).__name__)
        return error_page(502, title, f"{settings.OIDC_NAME} can't be reached. Try again in a moment{otherwise}.")
    return answer


def no_passwords() -> HttpResponse:
    """Return the page that says how one signs in where passwords are off."""
    return error_page(403, "No passwords here", f"Sign in with {settings.OIDC_NAME}, on the sign-in page.")


def _none() -> HttpResponse:
    return error_page(404, "Not there", "No sign-in by OpenID Connect is set up here.")
