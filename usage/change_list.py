"""The list of usage records: its page is found by a cursor, so nothing is counted or sorted."""

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.http import HttpRequest
from django.urls import reverse
from unfold.views import ChangeList

from usage.keyset import Cursor, Page, fetch

OLDER, NEWER = "older", "newer"


class Pages:
    """Takes the place of Django's paginator: no count, no page numbers, a link to either side."""

    template_name = "usage/pagination.html"

    def __init__(self, per_page: int, page: Page) -> None:
        self.per_page = per_page
        self.count = len(page.records)
        self.newer = str(Cursor.of(page.records[0])) if page.records and page.has_newer else ""
        self.older = str(Cursor.of(page.records[-1])) if page.records and page.has_older else ""


class UsageChangeList(ChangeList):
    """A change list that finds its page by a cursor."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        kept: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in kept.items() if name not in (OLDER, NEWER)}

    def get_results(self, request: HttpRequest) -> None:
        try:
            older, newer = (
                Cursor.parse(request.GET[name]) if request.GET.get(name) else None for name in (OLDER, NEWER)
            )
        except (ValueError, OverflowError, OSError) as error:
            raise IncorrectLookupParameters(error) from error
        parts = self.model_admin.parts(request, self.queryset.defer("teams", "units", "metadata", "decision"))
        page = fetch(parts, self.list_per_page, before=older, after=newer)
        if newer and not page.has_newer and len(page.records) < self.list_per_page:
            # Stepping back to the start shows a whole first page, not a torn one.
            page = fetch(parts, self.list_per_page)
        self.result_list = page.records
        self.result_count = self.full_result_count = len(page.records)
        self.show_full_result_count = False
        self.show_admin_actions = bool(page.records)
        self.can_show_all = self.multi_page = False
        self.paginator = Pages(self.list_per_page, page)

    def link(self, name: str, cursor: str) -> str:
        """Return this list's address with another place in it."""
        return str(self.get_query_string({name: cursor}, remove=[OLDER, NEWER]))

    @property
    def newer_link(self) -> str:
        return self.link(NEWER, self.paginator.newer) if self.paginator.newer else ""

    @property
    def older_link(self) -> str:
        return self.link(OLDER, self.paginator.older) if self.paginator.older else ""

    @property
    def newest_link(self) -> str:
        return str(self.get_query_string(remove=[OLDER, NEWER])) if self.paginator.newer else ""

    @property
    def export_link(self) -> str:
        return f"export/{self.get_query_string(remove=[OLDER, NEWER])}"

    @property
    def live_link(self) -> str:
        return f"{reverse('admin:requests_live')}{self.get_query_string(remove=[OLDER, NEWER])}"
