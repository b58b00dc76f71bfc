"""What a call leaves is gone with it: cycles would wait for the collector, which then stops all other calls."""

import gc
import weakref
from collections.abc import Iterator
from typing import Any, cast

import pytest
from django.http import HttpRequest

import gateway.urls
from accounts.caller import Caller
from gateway.call.call import Call
from gateway.call.headers import Options
from gateway.endpoints.base import OpenView
from gateway.objects.operations import CHAT
from gateway.pipeline.attempt import Attempt

assert gateway.urls  # all views are loaded


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


class Kept:
    """What an attempt holds."""


def views(kind: type[OpenView] = OpenView) -> Iterator[type[OpenView]]:
    """Yield a view and all below it."""
    yield kind
    for one in kind.__subclasses__():
        yield from views(one)


def begun(*, complete: bool) -> tuple[Call, Attempt]:
    """Return a call, and an attempt of it."""
    call = Call(cast(Caller, None), CHAT, Options(), "req_1")
    attempt = Attempt.__new__(Attempt)
    attempt.call, attempt.complete = call, complete
    call.attempt = attempt
    return call, attempt


def test_a_call_and_its_attempt() -> None:
    call, attempt = begun(complete=True)
    kept = Kept()
    gone = weakref.ref(kept)
    attempt.planned = cast(Any, kept)
    call.forget_attempt()
    del call, attempt, kept
    assert gone() is None


def test_an_attempt_that_is_still_estimated_stays_with_its_call() -> None:
    call, attempt = begun(complete=False)
    call.forget_attempt()
    assert call.attempt is attempt


@pytest.mark.parametrize("kind", sorted(set(views()), key=str), ids=lambda kind: kind.__qualname__)
def test_a_view(kind: type[OpenView]) -> None:
    view = kind()
    view.setup(HttpRequest())
    assert view.request is not None
    gone = weakref.ref(view)
    del view
    assert gone() is None
