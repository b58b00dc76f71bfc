"""The playground: a page that calls the gateway as the signed-in person, with a token of their own that lives for an
hour.
"""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.models import ApiToken, User
from accounts.sealing import seal, unseal
from accounts.tokens import digest
from console.pages.base import base_url, own_url, page
from usage import words
from usage.models import UsageRecord

NAME = "Playground"
SECONDS = 3600
COOKIE = "gatehouse_playground"
RECENT = timedelta(days=1)
"""How old a request may be that the page asks about: it asks when the answer has come."""


def playground(request: HttpRequest) -> HttpResponse:
    """Show the page; its script asks for the token and for the models. Auditors get 403: they make no calls here."""
    if admin.site.scope(request).audits:  # type: ignore[attr-defined]
        raise PermissionDenied
    return page(
        request,
        "console/playground.html",
        "Playground",
        {"base_url": base_url(request), "api": own_url(request), "is_fullwidth": True},
    )


@require_POST
def token(request: HttpRequest) -> HttpResponse:
    """Return a token of the person's: ``{"secret", "seconds", "fresh"}``. The one that the browser has is used up
    first.

    It travels back in a cookie that scripts can't read, encrypted: nothing on the server keeps it.
    """
    person: Any = request.user
    kept = unseal(request.COOKIES.get(COOKIE, ""), SECONDS)
    found = ApiToken.objects.filter(digest=digest(kept), user=person, revoked_at=None).first() if kept else None
    fresh = found is None or found.state != "active"
    if found is None or fresh:
        found, kept = _issue(person)
    assert found.expires_at is not None  # it was made with an end
    left = int((found.expires_at - timezone.now()).total_seconds())
    response = JsonResponse({"secret": kept, "seconds": left, "fresh": fresh})
    secure = request.is_secure()
    response.set_cookie(
        COOKIE, seal(kept), max_age=left, path=request.path, httponly=True, secure=secure, samesite="Strict"
    )
    return response


def _issue(person: User) -> tuple[ApiToken, str]:
    now = timezone.now()
    ApiToken.objects.filter(user=person, name=NAME, expires_at__lt=now - timedelta(seconds=SECONDS)).delete()
    return ApiToken.objects.issue(name=NAME, user=person, expires_at=now + timedelta(seconds=SECONDS))


def record(request: HttpRequest) -> HttpResponse:
    """Return what a request of the person's came to: tokens and cost over its attempts, ``found`` once it is
    recorded.
    """
    request_id = request.GET.get("request", "")[:64]
    scope = admin.site.scope(request)  # type: ignore[attr-defined]
    rows = UsageRecord.objects.filter(request_id=request_id, created_at__gte=timezone.now() - RECENT)
    if not scope.sees_all:
        rows = rows.filter(Q(subject_type="user", subject_id=scope.user_id) | Q(account__in=scope.accounts.values()))
    attempts = list(rows[:50])
    if not attempts:
        return JsonResponse({"found": False})
    costs = [row.cost for row in attempts if row.cost is not None]
    total = sum(costs[1:], costs[0]) if costs else None
    return JsonResponse(
        {
            "found": True,
            "input_tokens": sum(row.input_tokens for row in attempts),
            "output_tokens": sum(row.output_tokens for row in attempts),
            "cost": {"short": words.short_money(total), "exact": words.money(total)},
        }
    )
