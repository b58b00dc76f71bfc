"""Pages of a provider account: choosing models of the catalogue or of what its server offers, and testing its key."""

import time
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from fernet_fields import DecryptionError

from accounts import audit
from accounts.words import counted
from providers.catalogue.models import KnownModel, Seeded, choose, kind_of, known_models, seed
from providers.discovery import DiscoveryFailed, discover
from providers.lookup import undecryptable
from providers.models import Model, ProviderAccount
from providers.offers import keep
from providers.pricing.private import private_periods
from providers.pricing.public import private_sheet, public_sheet
from providers.pricing.surcharges import surcharge_bp
from providers.pricing.text import sheet_text
from providers.probe.run import ProbeResult, probe_account
from providers.probe.verdict import LABELS

# A run of four takes a minute at the worst; a page should not hang for longer than a few of them.
MODELS_A_TEST = 12
TESTED = "tested the credentials"
"""How the audit log's note on a test begins: the account's page shows the newest one."""


def catalogue_page(page: Any, request: HttpRequest, account: ProviderAccount) -> HttpResponse:
    """Show the vendor's models with their prices; on POST add the ticked ones, as ``seed_models`` does."""
    if request.method == "POST":
        return _add_models(page, request, account)
    there = set(account.models.values_list("name", flat=True))
    rows = [_row(known, known.name in there) for known in known_models(kind_of(account))]
    rows.sort(key=lambda row: row["retired"])
    empty = "The catalogue lists no models of this kind of account. Add them by hand."
    context = {"rows": rows, "empty": empty}
    return render(page, request, account, "providers/catalogue.html", "Add models from the catalogue", context)


def offers_page(page: Any, request: HttpRequest, account: ProviderAccount) -> HttpResponse:
    """Show what the account's server says that it offers; on POST add the ticked ones."""
    offered: list[KnownModel] = []
    try:
        offered = discover(account)
        keep(account, offered)
    except DiscoveryFailed as failure:
        page.message_user(request, str(failure), "error")
    except DecryptionError:
        page.message_user(request, undecryptable(account.name), "error")
    if request.method == "POST" and offered:
        chosen = set(request.POST.getlist("model"))
        return _added(page, request, account, seed(account, [known for known in offered if known.name in chosen]))
    there = set(account.models.values_list("name", flat=True))
    rows = [_row(known, known.name in there) for known in offered]
    context = {"rows": rows, "empty": "The server listed no models. Add them by hand."}
    return render(page, request, account, "providers/catalogue.html", "Models that the server offers", context)


def _row(known: KnownModel, there: bool) -> dict[str, Any]:
    window = f"{known.context_window:,}" if known.context_window else ""
    return {"known": known, "price": known.price, "window": window, "there": there, "retired": known.retired()}


def _add_models(page: Any, request: HttpRequest, account: ProviderAccount) -> HttpResponse:
    names = request.POST.getlist("model")
    if not names:
        page.message_user(request, "No model was chosen.", "warning")
        return redirect(request.path)
    try:
        done = seed(account, choose(kind_of(account), names))
    except ValueError as fault:
        page.message_user(request, str(fault), "error")
        return redirect(request.path)
    return _added(page, request, account, done)


def _added(page: Any, request: HttpRequest, account: ProviderAccount, done: list[Seeded]) -> HttpResponse:
    added = [row.name for row in done if row.action == "add"]
    page.message_user(request, f"Added {counted(len(added), 'model')} to {account}.", "success")
    return redirect("admin:providers_provideraccount_change", account.pk)


def test_page(page: Any, request: HttpRequest, account: ProviderAccount) -> HttpResponse:
    """Show the account's models to choose from; on POST call the vendor with each and show what came of it."""
    names = list(account.models.filter(enabled=True).order_by("name").values_list("name", flat=True))
    chosen = names[:MODELS_A_TEST]
    results: list[dict[str, Any]] = []
    if request.method == "POST":
        chosen = [name for name in names if name in set(request.POST.getlist("model"))]
        results = _test(page, request, account, chosen)
    context = {
        "models": [{"name": name, "chosen": name in chosen} for name in names],
        "results": results,
        "most": MODELS_A_TEST,
    }
    return render(page, request, account, "providers/test.html", "Test credentials", context)


def _test(page: Any, request: HttpRequest, account: ProviderAccount, names: list[str]) -> list[dict[str, Any]]:
    if len(names) > MODELS_A_TEST:
        page.message_user(request, f"Choose at most {MODELS_A_TEST} models at once.", "warning")
        return []
    try:
        results = probe_account(account, list(account.models.filter(name__in=names).order_by("name")))
    except DecryptionError:
        page.message_user(request, undecryptable(account.name), "error")
        return []
    note_test(account, results)
    return [outcome(result) for result in results]


def note_test(account: ProviderAccount, results: list[ProbeResult]) -> None:
    """Keep in the audit log what a test of the stored credentials came to."""
    audit.note(account, f"{TESTED}: {summary(results)}")


def summary(results: list[ProbeResult]) -> str:
    """Return what a test came to: ``3 of 4 work``, with the first fault in its words."""
    bad = [result for result in results if not result.ok]
    first = f"; {bad[0].model}: {bad[0].detail}" if bad else ""
    return f"{len(results) - len(bad)} of {len(results)} work{first}"


def outcome(result: ProbeResult) -> dict[str, Any]:
    """Return a result as the templates show it."""
    return {"result": result, "label": LABELS[result.state], "colour": "success" if result.ok else "danger"}


def render(
    page: Any, request: HttpRequest, account: ProviderAccount, template: str, title: str, context: dict[str, Any]
) -> HttpResponse:
    """Return a page of the account's."""
    shared = {
        **page.admin_site.each_context(request),
        "title": title,
        "opts": page.opts,
        "original": account,
        "back": reverse("admin:providers_provideraccount_change", args=[account.pk]),
    }
    return TemplateResponse(request, template, {**shared, **context})


def price_summary(model: Model) -> str:
    """Return a model's price as a call would be billed now, before the account's discount."""
    if model.price_source == Model.PriceSource.PRIVATE:
        try:
            later = [(start, sheet) for start, sheet in private_periods(model.private_price) if start > time.time()]
            changes = [
                f"; {sheet_text(sheet)} from {datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M} UTC"
                for start, sheet in later
            ]
            return f"{sheet_text(private_sheet(model.private_price))} (private){''.join(changes)}"
        except ValueError as fault:
            return f"private price is wrong: {fault}"
    listed = sheet_text(public_sheet(model.account.vendor.price_source, model.upstream_id))
    surcharge = surcharge_bp(model.account.vendor.provider, model.account.url, model.upstream_id)
    return f"{listed}, and {surcharge / 100:g} % more in this region" if surcharge else listed
