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
from accounts.sign_in import may_try
from console.errors import error_page, locked_out

logger = logging.getLogger("console.sign_in")

CODE_STAGE = "mfa_authenticate"
CODE_CHARACTERS = 40
NAME_CHARACTERS = 150


class SignIn(LoginView):
    """Django's view, which ends in :func:`accounts.entering.enter`."""

    def form_valid(self, form: Any) -> Any:
        return enter(self.request, form.get_user(), self.get_success_url())


def openid_link(request: HttpRequest) -> dict[str, str]:
    """Return name and address of the sign-in by OpenID Connect, for a template; nothing without one."""
    if not settings.OIDC_PROVIDER:
        return {}
    return {
        "openid": settings.OIDC_NAME,
        "openid_link": reverse("openid_connect_login", kwargs={"provider_id": settings.OIDC_PROVIDER}),
    }


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
            return locked_out(request)
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
    from allauth.socialaccount.providers.openid_connect.views import login  # brings much that starting needs not

    if not settings.OIDC_PROVIDER:
        return _none()
    request.GET = QueryDict()
    return _asking_provider(login, request, provider_id)


@require_safe
@never_cache
def openid_callback(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Take the provider's answer. It counts as a try from this address until a sign-in comes of it."""
    from allauth.socialaccount.providers.openid_connect.views import callback  # as above

    if not settings.OIDC_PROVIDER:
        return _none()
    if not may_try(request):
        return locked_out(request)
    return _asking_provider(callback, request, provider_id)


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
    found = open_invitation(request.GET.get("key", "")[:100])
    if found is None:
        if not may_try(request):
            return locked_out(request)
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


def _asking_provider(view: Any, request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Return django-allauth's answer. Its views let through that the provider's own description can't be read."""
    try:
        answer: HttpResponseBase = view(request, provider_id)
    except OSError as error:  # what requests raises
        logger.warning("The OpenID Connect provider can't be asked how to sign in: %s", type(error).__name__)
        text = f"{settings.OIDC_NAME} can't be reached. Try again in a moment, or sign in with a password."
        return error_page(502, "No sign-in there now", text)
    return answer


def _none() -> HttpResponse:
    return error_page(404, "Not there", "No sign-in by OpenID Connect is set up here.")
