"""The list of usage records: its page is found by a cursor, so nothing is counted or sorted."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.contrib.admin.options import IncorrectLookupParameters
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from unfold.views import ChangeList

from usage import words
from usage.filters import NAMES, leaves_lines_out
from usage.keyset import Cursor, Page, fetch
from usage.models import PICO
from usage.part_names import SEARCHED, asked

OLDER, NEWER = "older", "newer"
BATCHES_SHOWN: Final = 5
MOST_LINES: Final = 10_000
"""So many lines of batches are looked at for a page."""


@dataclass(slots=True)
class LeftOut:
    """The lines of a batch that a page of the list leaves out."""

    name: str
    link: str
    lines: int = 0
    cost: Decimal = Decimal(0)

    @property
    def short_cost(self) -> str:
        return words.short_money(self.cost)


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
        self.request, self.upper = request, older.time if older else None
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

    @cached_property
    def left_out(self) -> dict[str, Any]:
        """The batches whose lines belong between the rows of this page: ``batches``, how many ``more`` there are,
        and ``lines`` as text; nothing where lines are shown.
        """
        if not leaves_lines_out(self.request):
            return {}
        among, pages = self.queryset, self.paginator
        if self.result_list and pages.older:
            among = among.filter(created_at__gte=self.result_list[-1].created_at)
        if self.upper is not None:  # what is of that moment belongs to the page before
            among = among.filter(created_at__lt=self.upper)
        elif pages.newer:
            among = among.filter(created_at__lte=self.result_list[0].created_at)
        # The rows of the page come along: without them the database would walk all lines of all times.
        most = MOST_LINES + len(self.result_list)
        found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for part in self.model_admin.walked(self.request, among):
            for key, cost in part.order_by("-created_at").values_list("batch_key", "cost_pico")[:most]:
                if key:
                    found[key][0] += 1
                    found[key][1] += cost or 0
        number = sum(lines for lines, _ in found.values())
        batches = [
            LeftOut(key.rpartition("/")[2], self.link("batch_key", key), lines, cost * PICO)
            for key, (lines, cost) in list(found.items())[:BATCHES_SHOWN]
        ]
        more = len(found) - len(batches)
        return {"batches": batches, "more": more, "lines": f"{number:,}{' or more' if number >= MOST_LINES else ''}"}

    @property
    def chips(self) -> list[dict[str, str]]:
        """What the list is narrowed to, each with the way back."""
        return [
            {"text": f"{NAMES[name]}: {value}", "link": self._without(name)}
            for name, value in self.request.GET.items()
            if value and name in NAMES
        ]

    def _without(self, name: str) -> str:
        # A time of day goes with its day.
        return str(self.get_query_string(remove=[name, name.replace("_0", "_1"), OLDER, NEWER]))

    @property
    def cut_names(self) -> list[str]:
        """The parts of names that match more names than are looked for."""
        return [found.text for column in SEARCHED if (found := asked(self.request, column)) and found.more]

    @property
    def lines_link(self) -> str:
        return self.link("lines", "shown")

    def link(self, name: str, cursor: str) -> str:
        """Return this list's address with another place in it, or another filter."""
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
