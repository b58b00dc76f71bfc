"""The page that replaces an account's key: the new one is tested before it takes the place of the old one."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_variables
from fernet_fields import DecryptionError

from accounts.sealing import seal, unseal
from accounts.words import counted
from providers.admin_views import note_test, outcome, render, summary
from providers.lookup import undecryptable
from providers.models import Model, ProviderAccount
from providers.probe.run import ProbeResult, probe_account

SEALED_SECONDS: Final = 900
TESTED_MODELS: Final = 4


@sensitive_variables("key")
def rotate_page(page: Any, request: HttpRequest, account: ProviderAccount) -> HttpResponse:
    """Ask for a key; on POST store it when it works, or when one says so all the same after what the vendor said.

    A key that failed travels back encrypted, for a quarter of an hour: no page shows it.
    """
    key = request.POST.get("api_key", "").strip() or unseal(request.POST.get("sealed", ""), SEALED_SECONDS)
    fault, results = "", []
    if request.method == "POST":
        fault = key_fault(key)
        try:
            trial = ProviderAccount.objects.get(pk=account.pk)
        except DecryptionError:
            page.message_user(request, undecryptable(account.name), "error")
            return redirect("admin:providers_provideraccount_change", account.pk)
        if not fault:
            trial.api_key = key
            results = [] if "anyway" in request.POST else _test(trial)
        if not fault and all(result.ok for result in results):
            trial.save()
            if results:
                note_test(trial, results)
            said = f"The key of {account} is replaced" + (f": {summary(results)}." if results else ", untested.")
            page.message_user(request, said, "success" if results else "warning")
            return redirect("admin:providers_provideraccount_change", account.pk)
    context = {
        "fault": fault,
        "results": [outcome(result) for result in results],
        "sealed": seal(key) if results else "",
        "stored": _stored(account),
        "most": TESTED_MODELS,
    }
    return render(page, request, account, "providers/rotate.html", f"Replace the key of {account}", context)


def key_fault(key: str) -> str:
    """Return what is wrong with a key that was entered; empty when it can be one."""
    if not key:
        return "Enter the new key."
    if not all("!" <= sign <= "~" for sign in key):
        return "A key has no spaces, line breaks or special letters; part of something else came along."
    return ""


def _test(trial: ProviderAccount) -> list[ProbeResult]:
    models = sorted(Model.objects.filter(account=trial.pk, enabled=True), key=_cheapest_first)
    return probe_account(trial, models[:TESTED_MODELS])


def _cheapest_first(model: Model) -> tuple[bool, str]:
    return "chat" not in model.model_types and "embedding" not in model.model_types, model.name


def _stored(account: ProviderAccount) -> str:
    """Say what the new key takes the place of."""
    try:
        stored = ProviderAccount.objects.get(pk=account.pk)
        if len(stored.keys) > 1:
            return f"It takes the place of all {counted(len(stored.keys), 'key')} that the account has."
        if stored.credentials and not stored.keys:
            return "It takes the place of the credentials that the account signs in with now."
    except DecryptionError:
        return "The stored key can't be decrypted."
    return ""
