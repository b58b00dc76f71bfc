"""What the search over everything finds (Ctrl-K): pages, models, accounts, people, teams, applications, tokens and
requests.

Each kind is looked for where its own page looks: no one finds what they may not open.
"""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse

from accounts.models import ApiToken, Team, User, VirtualAccount
from console.pages.models import seen
from providers.models import ProviderAccount
from usage.models import UsageRecord

LEAST, MOST = 2, 200
EACH = 5
"""How many of a kind are shown."""
KINDS: tuple[tuple[type[Any], str], ...] = (
    (ProviderAccount, "Provider"),
    (User, "Person"),
    (Team, "Team"),
    (VirtualAccount, "Application"),
    (ApiToken, "Token"),
)

Found = dict[str, str]


def find(request: HttpRequest) -> HttpResponse:
    """Return ``{"results": [{"title", "kind", "link"}]}`` for the words in ``s``."""
    term = request.GET.get("s", "").strip()[:MOST]
    results = [] if len(term) < LEAST else [*_pages(request, term), *_models(request, term), *_rows(request, term)]
    return JsonResponse({"results": results})


def _pages(request: HttpRequest, term: str) -> Iterator[Found]:
    sections = admin.site.get_sidebar_list(request)  # type: ignore[attr-defined]
    for entry in (entry for section in sections for entry in section["items"]):
        if entry.get("has_permission", True) and term.lower() in str(entry["title"]).lower():
            yield {"title": str(entry["title"]), "kind": "Page", "link": str(entry["link"])}


def _models(request: HttpRequest, term: str) -> Iterator[Found]:
    for model in seen(request, term)[:EACH]:
        name = model.public_name
        yield {"title": name, "kind": "Model", "link": reverse("admin:model_drawer", args=[name])}


def _rows(request: HttpRequest, term: str) -> Iterator[Found]:
    for model, kind in KINDS:
        for row in _search(request, model, term)[:EACH]:
            page = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
            yield {"title": str(row), "kind": kind, "link": reverse(page, args=[row.pk])}
    for record in _search(request, UsageRecord, term)[:1]:
        yield {
            "title": record.request_id,
            "kind": "Request",
            "link": reverse("admin:request", args=[record.request_id]),
        }


def _search(request: HttpRequest, model: type[Any], term: str) -> Any:
    page: Any = admin.site.get_model_admin(model)
    if not page.has_view_permission(request):
        return []
    found, several = page.get_search_results(request, page.get_queryset(request), term)
    return found.distinct() if several else found
