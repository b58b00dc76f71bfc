"""Few of the pages that ask for a password are worked on at a time; the others wait, or are refused."""

import asyncio

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from console.middleware import (
    OPENID_PAGES,
    PASSWORD_PAGES,
    PASSWORD_PAGES_AT_ONCE,
    PASSWORD_PAGES_WAITING,
    few_sign_ins,
)

FITS = PASSWORD_PAGES_AT_ONCE + PASSWORD_PAGES_WAITING


class Pages:
    """Django behind the middleware: answers when it is let, and counts what it works on at once."""

    def __init__(self) -> None:
        self.at_work = self.most = 0
        self.done = asyncio.Event()

    async def answer(self, request: HttpRequest) -> HttpResponse:
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        try:
            await self.done.wait()
            if request.GET.get("fails"):
                raise RuntimeError
        finally:
            self.at_work -= 1
        return HttpResponse(status=200)


@pytest.mark.parametrize("page", sorted(PASSWORD_PAGES | OPENID_PAGES))
async def test_few_at_a_time(page: str) -> None:
    pages = Pages()
    answer = few_sign_ins(pages.answer)
    asked = [asyncio.ensure_future(answer(RequestFactory().post(page))) for _ in range(FITS)]
    await asyncio.sleep(0)
    refused = await answer(RequestFactory().get(page))
    assert (refused.status_code, refused["retry-after"]) == (503, "5")
    assert pages.at_work == PASSWORD_PAGES_AT_ONCE
    pages.done.set()
    assert [one.status_code for one in await asyncio.gather(*asked)] == [200] * FITS
    assert pages.most == PASSWORD_PAGES_AT_ONCE
    assert (await answer(RequestFactory().get(page))).status_code == 200


async def test_other_pages_do_not_wait_for_them() -> None:
    pages = Pages()
    answer = few_sign_ins(pages.answer)
    asked = [asyncio.ensure_future(answer(RequestFactory().post("/admin/login/"))) for _ in range(FITS)]
    others = [asyncio.ensure_future(answer(RequestFactory().get("/admin/"))) for _ in range(FITS)]
    await asyncio.sleep(0)
    assert pages.at_work == PASSWORD_PAGES_AT_ONCE + FITS
    pages.done.set()
    await asyncio.gather(*asked, *others)


async def test_who_goes_or_fails_gives_the_turn_on() -> None:
    pages = Pages()
    answer = few_sign_ins(pages.answer)
    asked = [asyncio.ensure_future(answer(RequestFactory().post("/admin/login/"))) for _ in range(FITS)]
    await asyncio.sleep(0)
    for one in (asked[0], asked[-1]):  # one at work, one that waits
        one.cancel()
    pages.done.set()
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(end, asyncio.CancelledError) for end in ends) == 2
    with pytest.raises(RuntimeError):
        await answer(RequestFactory().get("/admin/login/", {"fails": "1"}))
    again = [answer(RequestFactory().post("/admin/login/")) for _ in range(FITS)]
    assert [one.status_code for one in await asyncio.gather(*again)] == [200] * FITS
