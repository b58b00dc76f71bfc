"""The last step of every way to sign in: what django-allauth asks when it knows who comes in.

A password, OpenID Connect and an invitation all end in :func:`enter`, which asks for the code of those who have
two-factor sign-in before it opens a session.
"""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.utils import perform_login
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect

BACKEND = "django.contrib.auth.backends.ModelBackend"


def enter(request: HttpRequest, user: Any, address: str | None = None) -> HttpResponseBase:
    """Open a session for ``user`` and lead to ``address``, or ask for their code first."""
    answer: HttpResponseBase = perform_login(request, user, email_verification="none", redirect_url=address)
    return answer


class Entering(DefaultAccountAdapter):  # type: ignore[misc]
    """How django-allauth ends a sign-in here. It signs no one up, and sends no mail."""

    def login(self, request: HttpRequest, user: Any) -> None:
        """Open the session; django-axes forgets the wrong tries then."""
        login(request, user, backend=BACKEND)

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        """Lead back: who may not enter learns no more than with a wrong password."""
        return redirect("admin:login")

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Say nothing: the page that opens says it."""

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """The audit log has it."""
