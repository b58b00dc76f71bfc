"""The health of the installation: what ``manage.py doctor`` finds without waiting, and what this process holds."""

from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from console.pages.base import page
from gateway.doctor.checks import examine
from gateway.doctor.findings import ERROR, OK, WARNING
from gateway.server.gauges import read_gauges

LEFT_OUT: Final = frozenset({"egress", "prices", "models"})
"""The first connects to providers; the others walk a day's records and all models, which the overview and the list of
models speak of."""
COLOURS: Final = {OK: "good", WARNING: "warn", ERROR: "bad"}
WORDS: Final = {OK: "fine", WARNING: "warning", ERROR: "error"}
ORDER: Final = (ERROR, WARNING, OK)
GAUGES: Final = {
    "gatehouse_calls_in_flight": ("Calls under way", ""),
    "gatehouse_spool_records": ("Usage records that wait for the database", ""),
    "gatehouse_spool_oldest_seconds": ("Age of the oldest of them", "s"),
    "gatehouse_spool_dropped_records": ("Usage records lost since the start", ""),
    "gatehouse_directory_age_seconds": ("Age of the configuration that calls use", "s"),
    "process_resident_memory_bytes": ("Memory", "MB"),
}
MEGABYTE: Final = 2**20


def system_health(request: HttpRequest) -> HttpResponse:
    """Show it to superusers and auditors."""
    if not admin.site.scope(request).sees_all:  # type: ignore[attr-defined]
        raise PermissionDenied
    found = sorted(examine(LEFT_OUT), key=lambda finding: ORDER.index(finding.level))
    context = {
        "findings": [
            {"colour": COLOURS[each.level], "state": WORDS[each.level], "check": each.check, "finding": each}
            for each in found
        ],
        "process": _process(),
        "is_fullwidth": True,
    }
    return page(request, "console/system_health.html", "System health", context)


def _process() -> list[tuple[str, str]]:
    """Return what the worker that answers this holds, by title."""
    held: dict[str, Any] = read_gauges()
    amounts = {name: next(iter(held[name].values())) for name in GAUGES if held.get(name)}
    return [(title, _said(amounts[name], unit)) for name, (title, unit) in GAUGES.items() if name in amounts]


def _said(amount: float, unit: str) -> str:
    if unit == "MB":
        return f"{amount / MEGABYTE:,.0f} MB"
    return f"{amount:,.1f} s" if unit else f"{amount:,.0f}"
