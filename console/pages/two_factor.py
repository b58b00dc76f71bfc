"""One's own two-factor sign-in: turned on with an app, off again, and new recovery codes."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.safestring import mark_safe
from django.views.decorators.debug import sensitive_post_parameters

from accounts import two_factor
from accounts.sealing import seal, unseal
from accounts.sign_in import forget_tries, is_own_password, may_try
from console.errors import locked_out
from console.pages.base import page
from console.pages.sign_in import CODE_CHARACTERS

SETUP_SECONDS = 900
WRONG_CODE = "This code is not right, or was used before."


@sensitive_post_parameters()
def own(request: HttpRequest) -> HttpResponse:
    """Show whether one's own sign-in asks for a code; on POST change that."""
    person: Any = request.user
    step = request.POST.get("step", "") if request.method == "POST" else ""
    if step == "begin" and not two_factor.is_on(person):
        if person.has_usable_password() and not is_own_password(request, request.POST.get("password", "")):
            return _show(request, fault="This is not your password.")
        return _set_up(request, two_factor.new_seed())
    if step == "confirm" and not two_factor.is_on(person):
        owner, _, seed = unseal(request.POST.get("sealed", ""), SETUP_SECONDS).partition(" ")
        if owner != str(person.pk):
            return _show(request, fault="That took too long. Begin again.")
        codes = two_factor.turn_on(person, seed, _code(request))
        return _set_up(request, seed, fault=WRONG_CODE) if codes is None else _show(request, codes=codes)
    if step in ("off", "codes") and two_factor.is_on(person):
        if not may_try(request, person.email):
            return locked_out(request)
        if not two_factor.check(person, _code(request)):
            return _show(request, fault=WRONG_CODE)
        forget_tries(request)
        if step == "codes":
            return _show(request, codes=two_factor.renew_codes(person))
        two_factor.turn_off(person)
    return _show(request)


def _code(request: HttpRequest) -> str:
    return request.POST.get("code", "").strip()[:CODE_CHARACTERS]


def _set_up(request: HttpRequest, seed: str, fault: str = "") -> HttpResponse:
    person: Any = request.user
    context = {
        "seed": seed,
        "qr_code": mark_safe(two_factor.qr_code(person, seed)),
        "sealed": seal(f"{person.pk} {seed}"),
        "fault": fault,
    }
    return _page(request, context)


def _show(request: HttpRequest, fault: str = "", codes: list[str] | None = None) -> HttpResponse:
    person: Any = request.user
    on = two_factor.is_on(person)
    left = two_factor.codes_left(person) if on and codes is None else 0
    return _page(request, {"on": on, "left": left, "codes": codes, "fault": fault})


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    return page(request, "console/two_factor.html", "Two-factor sign-in", context)
