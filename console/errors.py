"""The console's error pages, and what clients of the API get at addresses that are not the API's.

They need no database, no session and no known host, and ask for nothing from elsewhere.
"""

import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from accounts.printable import printable
from accounts.words import counted
from gateway.call.call import new_request_id
from gateway.call.errors import ORIGIN_HEADER, render_json, status_of, unknown_path

logger = logging.getLogger("console.errors")

CONSOLE = "/admin/"
NOTED_CHARACTERS = 500


def is_browser(request: HttpRequest) -> bool:
    """Whether a page is the answer: below the console, and where HTML is asked for by name."""
    if request.path_info.startswith(CONSOLE):
        return True
    return request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "").lower()


def error_page(status: int, title: str, text: str, hint: str = "") -> HttpResponse:
    """Return a page that says what is wrong and where to go on."""
    context = {"status": status, "title": title, "text": text, "hint": hint}
    return HttpResponse(render_to_string("errors/page.html", context), status=status)


def note_mistake(request: HttpRequest, what: object) -> None:
    """Write a line about a client's mistake: no error of ours, and nowhere in the code."""
    logger.warning("%s", printable(f"{request.method} {request.path}: {what}"[:NOTED_CHARACTERS]))


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 400; a host that is not allowed gets the setting that allows it."""
    note_mistake(request, exception)
    if isinstance(exception, DisallowedHost):
        host = request.META.get("HTTP_HOST", "")[:253]
        return error_page(
            400,
            "This name is not known here",
            f"The browser asked for the host {host!r}, but Gatehouse only answers to: "
            f"{', '.join(settings.ALLOWED_HOSTS)}.",
            f"To allow it, start Gatehouse with GATEHOUSE_ALLOWED_HOSTS={host.rsplit(':', 1)[0] or 'HOST'}, or set "
            "GATEHOUSE_PUBLIC_URL to the address that people use.",
        )
    return error_page(
        400, "This can't be understood", "The address or the form holds something that is not valid here."
    )


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 403."""
    return error_page(
        403, "Not yours to open", "You are signed in, but this page or action is for others. Ask an administrator."
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 to a form without its mark: an old page, blocked cookies, or a form of another site."""
    return error_page(
        403,
        "This form has expired",
        "Go back, reload the page and send it again. If that does not help, allow cookies for this site.",
        ""
        if settings.PUBLIC_URL
        else "Behind a proxy with https, set GATEHOUSE_PUBLIC_URL and GATEHOUSE_BEHIND_PROXY=1.",
    )


def locked_out(
    request: HttpRequest, response: Any = None, credentials: Any = None, *, wrong: str = "wrong passwords or codes"
) -> HttpResponse:
    """Answer 429 to a sign-in after too many tries, which were ``wrong``."""
    minutes = settings.SIGN_IN_PAUSE_MINUTES
    answer = error_page(
        429,
        f"Too many {wrong}",
        f"Wait {counted(minutes, 'minute')}, then try again. API tokens go on working meanwhile.",
        "An administrator can end the wait: manage.py unlock EMAIL.",
    )
    answer["Retry-After"] = str(minutes * 60)
    return answer


def too_many_sign_ins() -> HttpResponse:
    """Answer 503 while more passwords are being checked than can be at once."""
    answer = error_page(503, "Many people are signing in", "Try again in a few seconds.")
    answer["Retry-After"] = "5"
    return answer


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 404: a page to a browser, and OpenAI's error to every other client, which has a wrong base URL."""
    if not is_browser(request):
        error = unknown_path(request.path_info)  # without the path of the public address
        answer = HttpResponse(render_json(error), status=status_of(error), content_type="application/json")
        answer[ORIGIN_HEADER], answer["x-request-id"] = "gateway", new_request_id()
        return answer
    return error_page(404, "Not there", "There is nothing at this address, or nothing that you may see.")


def failed(request: HttpRequest) -> HttpResponse:
    """Answer 500."""
    return error_page(
        500,
        "This went wrong on our side",
        "The error is in Gatehouse's log, with the time and this address. Nothing that you entered was saved.",
    )
