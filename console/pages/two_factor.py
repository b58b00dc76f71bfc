"""One's own two-factor sign-in: turned on with an app, off again, another app, and new recovery codes."""

from typing import Any

from django.conf import settings
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
FIRST, ANOTHER = "first", "another"
"""What a new seed is for: to turn it on, which a password allowed, or to take the place of a seed, which a code did."""


@sensitive_post_parameters()
def own(request: HttpRequest) -> HttpResponse:
    """Show whether one's own sign-in asks for a code; on POST change that."""
    person: Any = request.user
    step = request.POST.get("step", "") if request.method == "POST" else ""
    on = two_factor.is_on(person)
    if step == "begin" and not on:
        if asks_password(person) and not is_own_password(request, request.POST.get("password", "")):
            return _show(request, fault="This is not your password.")
        return _set_up(request, FIRST, two_factor.new_seed())
    if step == "confirm":
        return _confirm(request, ANOTHER if on else FIRST)
    if step in ("off", "codes", "move") and on:
        if not may_try(request, person.email):
            return locked_out(request, wrong="wrong codes")
        if not two_factor.check(person, _code(request)):
            return _show(request, fault=WRONG_CODE)
        forget_tries(request)
        return _change(request, step)
    return _show(request)


def asks_password(person: Any) -> bool:
    """Whether a second factor is set up behind the person's password only."""
    return bool(settings.PASSWORD_SIGN_IN and person.has_usable_password())


def _confirm(request: HttpRequest, purpose: str) -> HttpResponse:
    person: Any = request.user
    owner, _, seed = unseal(request.POST.get("sealed", ""), SETUP_SECONDS).rpartition(" ")
    if owner != f"{person.pk} {purpose}":
        return _show(request, fault="That took too long. Begin again.")
    codes = two_factor.turn_on(person, seed, _code(request))
    return _set_up(request, purpose, seed, fault=WRONG_CODE) if codes is None else _show(request, codes=codes)


def _change(request: HttpRequest, step: str) -> HttpResponse:
    person: Any = request.user
    if step == "move":
        return _set_up(request, ANOTHER, two_factor.new_seed())
    if step == "codes":
        return _show(request, codes=two_factor.renew_codes(person))
    if settings.REQUIRE_TWO_FACTOR:
        return _show(request, fault="Everyone here needs a second factor: set up another app instead.")
    two_factor.turn_off(person)
    return _show(request)


def _code(request: HttpRequest) -> str:
    return request.POST.get("code", "").strip()[:CODE_CHARACTERS]


def _set_up(request: HttpRequest, purpose: str, seed: str, fault: str = "") -> HttpResponse:
    person: Any = request.user
    context = {
        "seed": seed,
        "qr_code": mark_safe(two_factor.qr_code(person, seed)),
        "sealed": seal(f"{person.pk} {purpose} {seed}"),
        "fault": fault,
    }
    return _page(request, context)


def _show(request: HttpRequest, fault: str = "", codes: list[str] | None = None) -> HttpResponse:
    person: Any = request.user
    on = two_factor.is_on(person)
    left = two_factor.codes_left(person) if on and codes is None else 0
    asked = {"required": settings.REQUIRE_TWO_FACTOR, "asks_password": asks_password(person)}
    return _page(request, {"on": on, "left": left, "codes": codes, "fault": fault, **asked})


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    return page(request, "console/two_factor.html", "Two-factor sign-in", context)
