"""Middleware of Django's own pages: the console and the API's description. Inference paths have none."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any, Final

from django.conf import settings
from django.contrib.admin.options import IncorrectLookupParameters
from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin

from accounts.hashing import TooManyAtOnce
from accounts.sign_in import take_back
from console.errors import error_page, note_mistake, too_many_sign_ins

# No page has a script of its own in the markup, and none loads anything from elsewhere. Alpine, which unfold's pages
# are built with, compiles the expressions in its attributes: that is the one thing that 'unsafe-eval' is for. Styles in
# attributes are unfold's, too.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
DOCS = "/api/docs"
"""The API's description has a page of its own maker's, with a script in the markup."""

PASSWORD_PAGES: Final = frozenset(
    {
        "/admin/login/",
        "/admin/password_change/",
        "/admin/two-factor/",
        "/admin/sign-in/code/",
        "/admin/sign-in/link/",
        "/admin/sign-in/invitation/",
    }
)
OPENID_PAGES: Final = frozenset({"/admin/sign-in/openid/", "/admin/sign-in/openid/callback/"})
"""They wait for a provider, and so have turns of their own: a slow one must not keep passwords out."""
PASSWORD_PAGES_AT_ONCE: Final = 2
PASSWORD_PAGES_WAITING: Final = 32


class ContentSecurityPolicy(MiddlewareMixin):
    """Says to the browser what the console's pages may load and run: what is theirs, from here."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Add the policy, unless a page has one already."""
        if not request.path.startswith(DOCS):
            response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


class RefuseNul(MiddlewareMixin):
    """Answers 400 where the address or the session's cookie holds a NUL: PostgreSQL takes none, and the page would
    fail.
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Return the refusal; ``None`` lets the request pass."""
        return _refusal(request)


class RefuseUnstorable(MiddlewareMixin):
    """Answers 400 where a page was asked for a number or time that no column holds: Django passes it to the
    database; and for filters that make no sense on pages beside the lists, which answer for themselves.
    """

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the answer to what ``exception`` reports; ``None`` leaves it to Django."""
        if isinstance(exception, OverflowError | DataError | IncorrectLookupParameters):
            note_mistake(request, type(exception).__name__)
            return _bad("The address or the form holds a value that is out of range. Go back and change it.")
        return None


@sync_and_async_middleware
def few_sign_ins(get_response: Any) -> Callable[[HttpRequest], Any]:
    """Works on few of the pages that ask for a password at a time, in each process, and refuses with 503 what would
    wait for long: they are open to everyone, cost a page and a hash, and share the interpreter with calls."""
    if not iscoroutinefunction(get_response):  # Django's test client has one thread anyway
        return get_response  # type: ignore[no-any-return]
    return _in_turns(_in_turns(get_response, PASSWORD_PAGES), OPENID_PAGES)


def _in_turns(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponse]], pages: frozenset[str]
) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    turns = asyncio.Semaphore(PASSWORD_PAGES_AT_ONCE)
    waiting = 0

    async def answer(request: HttpRequest) -> HttpResponse:
        nonlocal waiting
        if request.path_info not in pages:
            return await get_response(request)
        if waiting >= PASSWORD_PAGES_WAITING:
            return too_many_sign_ins()
        waiting += 1
        try:
            await turns.acquire()
        finally:
            waiting -= 1
        try:
            return await get_response(request)
        finally:
            turns.release()

    return answer


class TooManySignIns(MiddlewareMixin):
    """Answers 503 when a password can't be checked soon. The try does not count."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the answer to :class:`~accounts.hashing.TooManyAtOnce`; ``None`` leaves it to others."""
        if isinstance(exception, TooManyAtOnce):
            take_back(request)
            return too_many_sign_ins()
        return None


def _refusal(request: HttpRequest) -> HttpResponse | None:
    query = request.META.get("QUERY_STRING", "")
    if "%00" in query or "\0" in query or "\0" in request.path:
        return _bad("The address holds a NUL character (%00). Take it out.")
    # A quoted cookie spells a NUL \000. Other cookies reach no database, and may be another site's of this host.
    if "\0" in request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""):
        return _bad("The session's cookie holds a NUL character. Delete this site's cookies and sign in again.")
    return None


def _bad(text: str) -> HttpResponse:
    return error_page(400, "This can't be understood", text)
