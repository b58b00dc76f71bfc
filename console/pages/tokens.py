"""One's own tokens: what each may call, its last use and what it cost; and the page that makes another."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q
from django.forms import CharField
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.models import ApiToken
from accounts.token_admin import TokenAdmin
from console.pages.base import page
from console.token_spend import token_sums
from providers.access import principals_of, reach
from usage import spend as figures
from usage import words

SHOWN = 100
EXPIRIES = {"30": "30 days", "90": "90 days", "365": "365 days", "never": "Never"}
USUAL_EXPIRY = "90"
SHOWN_MODELS = 400
MOST_LIMITS = 200
NAME_CHARACTERS = ApiToken._meta.get_field("name").max_length or 200


def tokens(request: HttpRequest) -> HttpResponse:
    """Show the person's tokens: those that work, or with ``ended=1`` the others."""
    person: Any = request.user
    ended = request.GET.get("ended") == "1"
    over = Q(expires_at__lte=timezone.now()) | ~Q(revoked_at=None)
    mine = ApiToken.objects.filter(user=person).order_by("-id")
    found = list((mine.filter(over) if ended else mine.exclude(over))[:SHOWN])
    spent = token_sums("user", person.email)
    context = {
        "rows": [_row(token, spent.get(token.prefix)) for token in found],
        "ended": ended,
        "others": mine.exclude(over).count() if ended else mine.filter(over).count(),
        "shown": SHOWN if len(found) == SHOWN else 0,
        "manages": admin.site.scope(request).manages,  # type: ignore[attr-defined]
        "may_add": admin.site.get_model_admin(ApiToken).has_add_permission(request),
        "is_fullwidth": True,
    }
    return page(request, "console/tokens.html", "Tokens", context)


def _row(token: ApiToken, spent: figures.Totals | None) -> dict[str, Any]:
    requests = urlencode({"subject_name": token.user.email if token.user else "", "token": token.prefix})
    return {
        "token": token,
        "link": reverse("admin:accounts_apitoken_change", args=[token.pk]),
        "limits": ", ".join(token.limits[:3]) + (f" and {len(token.limits) - 3} more" if len(token.limits) > 3 else ""),
        "cost": words.short_money(spent.cost) if spent else "",
        "exact": words.money(spent.cost if spent else None),
        "requests": f"{reverse('admin:usage_usagerecord_changelist')}?{requests}",
    }


def new(request: HttpRequest) -> HttpResponse:
    """Show the form of a new token of the person's own; on POST make it, and go on to the page that shows it once."""
    token_admin: Any = admin.site.get_model_admin(ApiToken)
    if not token_admin.has_add_permission(request):
        raise PermissionDenied
    errors: dict[str, str] = {}
    if request.method == "POST":
        answer = _make(request, token_admin, errors)
        if answer is not None:
            return answer
    name, expiry = request.POST.get("name", ""), request.POST.get("expiry", USUAL_EXPIRY)
    accounts, hidden = _choices(request, set(request.POST.getlist("limit")))
    context = {
        "name": name,
        "expiries": [(key, title, key == expiry) for key, title in EXPIRIES.items()],
        "narrowed": request.POST.get("scope") == "some",
        "accounts": accounts,
        "hidden": hidden,
        "errors": errors,
        "manages": admin.site.scope(request).manages,  # type: ignore[attr-defined]
    }
    return page(request, "console/token_new.html", "New token", context)


def _make(request: HttpRequest, token_admin: TokenAdmin, errors: dict[str, str]) -> HttpResponse | None:
    """Make the token that was asked for; put into ``errors`` what is wrong with which field."""
    person: Any = request.user
    expiry = request.POST.get("expiry", "")
    limits = list(dict.fromkeys(request.POST.getlist("limit"))) if request.POST.get("scope") == "some" else []
    try:
        name = CharField(max_length=NAME_CHARACTERS).clean(request.POST.get("name"))
    except ValidationError:
        errors["name"] = f"Give a name that says where the token is used, of at most {NAME_CHARACTERS} characters."
    if expiry not in EXPIRIES:
        errors["expiry"] = "Choose when the token ends."
    if request.POST.get("scope") == "some" and not limits:
        errors["limits"] = "Choose what the token may call, or let it call everything that you may call."
    if len(limits) > MOST_LIMITS:
        errors["limits"] = f"Choose {MOST_LIMITS} at most: an account includes all its models."
    if errors:
        return None
    end = None if expiry == "never" else timezone.now() + timedelta(days=int(expiry))
    try:
        token, secret = ApiToken.objects.issue(name=name, user=person, expires_at=end, limits=limits)
    except ValidationError as error:
        for field, said in error.message_dict.items():
            errors[field] = " ".join(said)
        return None
    return token_admin.show_once(token, secret)


def _choices(request: HttpRequest, chosen: set[str]) -> tuple[list[dict[str, Any]], int]:
    """Return the accounts that the person may call, each with its models, and how many of both there are beyond those
    that are shown.
    """
    person: Any = request.user
    accounts, left, hidden = [], SHOWN_MODELS, 0
    for entry in sorted(reach(principals_of(person)), key=lambda entry: entry.account.name):
        names = [f"{entry.account.name}/{model.name}" for model in sorted(entry.models, key=lambda model: model.name)]
        name, left = entry.account.name, left - 1
        if left < 0 and name not in chosen:
            hidden += 1 + len(names)
            continue
        shown = names[: max(0, left)]
        left, hidden = left - len(shown), hidden + len(names) - len(shown)
        models = [(model, model in chosen) for model in shown]
        accounts.append({"name": name, "chosen": name in chosen, "any": entry.account.any_model, "models": models})
    return accounts, hidden
