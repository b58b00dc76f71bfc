"""Inviting people: superusers make a link, and give it to whom it is for."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode

from accounts.invitations import LIFETIME, invite
from accounts.models import Membership, Team, User
from console.pages.base import page

SUGGESTED_TEAMS = 500


def new(request: HttpRequest) -> HttpResponse:
    """Show the form; on POST add the person, if there is none with the address, and show the link once."""
    if not admin.site.get_model_admin(User).has_add_permission(request):
        raise PermissionDenied
    email = request.POST.get("email", request.GET.get("email", "")).strip().lower()
    errors: dict[str, str] = {}
    if request.method == "POST":
        team = _team(request.POST.get("team", "").strip(), errors)
        role = Membership.Role.MANAGER if request.POST.get("role") == "manager" else Membership.Role.MEMBER
        person = _person(email, errors)
        if person is not None and not errors:
            with transaction.atomic():
                if person.pk is None:
                    person.set_unusable_password()
                    person.save()
                if team is not None:
                    Membership.objects.get_or_create(team=team, user=person, defaults={"role": role})
                key = invite(person) if settings.PASSWORD_SIGN_IN else ""
                return _link(request, person, key)
    openid = "" if settings.PASSWORD_SIGN_IN else settings.OIDC_NAME
    context = {
        "email": email,
        "team": request.POST.get("team", ""),
        "manager": request.POST.get("role") == "manager",
        "errors": errors,
        "openid": openid,
        "teams": list(Team.objects.values_list("name", flat=True)[:SUGGESTED_TEAMS]),
    }
    return page(request, "console/invite.html", "Invite someone", context)


def _team(name: str, errors: dict[str, str]) -> Team | None:
    found = Team.objects.filter(name=name).first()
    if name and found is None:
        errors["team"] = f"The team {name} does not exist."
    return found


def _person(email: str, errors: dict[str, str]) -> User | None:
    """Return the person to invite, a new one where none has the address; put into ``errors`` what forbids it."""
    try:
        validate_email(email)
    except ValidationError:
        errors["email"] = "Give a valid e-mail address."
        return None
    person = User.objects.filter(email=email).first()
    if person is not None and not person.is_active:
        errors["email"] = "This person is not active: their page says so."
        return None
    return person or User(email=email)


def _link(request: HttpRequest, person: User, key: str) -> HttpResponse:
    """Show the link with which they choose a password; without a ``key`` that of the sign-in page."""
    address = f"{reverse('invitation')}?{urlencode({'key': key})}" if key else reverse("admin:login")
    if settings.PUBLIC_URL:
        link = f"{settings.PUBLIC_URL.removesuffix(settings.BASE_PATH)}{address}"
    else:
        link = request.build_absolute_uri(address)
    context: dict[str, Any] = {"person": person, "link": link, "days": LIFETIME.days}
    context["openid"] = "" if key else settings.OIDC_NAME
    return page(request, "console/invited.html", f"Invitation for {person.email}", context)
