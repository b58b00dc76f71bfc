"""Sign-in by OpenID Connect: whom the provider's answer lets in. Nobody, unless it says who they are.

A person comes in whose account at the provider is linked to them; or, the first time, whose verified e-mail address is
a person's here. Others are refused, unless their address belongs to one of ``GATEHOUSE_OIDC_DOMAINS``.
"""

import logging
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from accounts import audit
from accounts.acting import acting
from accounts.models import User
from accounts.printable import printable

logger = logging.getLogger("accounts.openid")

ASK = "Ask an administrator for an invitation."


class OpenId(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """What django-allauth asks about who comes from the provider."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False  # a person who is let in has been linked before this is asked

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Link a person whom nothing links yet. Raises ``ImmediateHttpResponse`` with the page of a refusal."""
        claims = sociallogin.account.extra_data
        token, asked = claims.get("id_token") or {}, claims.get("userinfo") or {}
        if not token or asked.get("sub", token["sub"]) != token["sub"]:
            raise _refused("Its answer does not say for certain who you are.", "no id token, or of someone else")
        if sociallogin.is_existing:
            return
        said = {**token, **asked}
        email = str(said.get("email") or "").strip().lower()
        if not email or (said.get("email_verified") is not True and not settings.OIDC_TRUST_EMAIL):
            raise _refused("It did not say that your e-mail address is verified.", f"unverified address {email!r}")
        with acting(email, "console"), transaction.atomic():
            sociallogin.connect(request, _person(email, said))

    def on_authentication_error(self, request: HttpRequest, provider: Any, **kwargs: Any) -> None:
        """Raise ``ImmediateHttpResponse`` with a page instead of django-allauth's."""
        why = kwargs.get("exception") or kwargs.get("error")
        raise _refused("It did not confirm who you are, or the way back took too long. Try again.", str(why))

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """The audit log has it."""


def _person(email: str, said: dict[str, Any]) -> User:
    """Return the person with this address, added if they belong to one of the domains."""
    person = User.objects.filter(email=email).first()
    if person is None:
        if email.rpartition("@")[2] not in settings.OIDC_DOMAINS:
            raise _refused(f"No one here has the address {email}. {ASK}", f"unknown address {email!r}")
        names = {name: str(said.get(claim) or "")[:150] for name, claim in NAMES.items()}
        try:
            with transaction.atomic():
                person = User.objects.create_user(email, None, **names)
        except IntegrityError:  # another tab was faster
            person = User.objects.get(email=email)
    if person.is_active:
        audit.note(person, f"signed in by {settings.OIDC_NAME} for the first time")
    return person


NAMES = {"first_name": "given_name", "last_name": "family_name"}


def _refused(text: str, why: str) -> ImmediateHttpResponse:
    logger.warning("A sign-in by OpenID Connect was refused: %s", printable(why[:300]))
    context = {"status": 403, "title": f"No sign-in by {settings.OIDC_NAME}", "text": text}
    return ImmediateHttpResponse(HttpResponse(render_to_string("errors/page.html", context), status=403))
