"""The error table is whole: each row is shown by a test through the front door, or says why it can't be."""

import ast
import importlib
import inspect
import json
from pathlib import Path

import pytest

from gateway.call import errors
from gateway.call.errors import (
    BadRange,
    BadToken,
    BodyTimedOut,
    CallError,
    CallTooLong,
    ClientGone,
    FirstTokenTimedOut,
    Forbidden,
    HeadTooLarge,
    InvalidRequest,
    KeyInUse,
    KeyReused,
    MethodNotAllowed,
    ModelNotFound,
    NotFound,
    SessionOver,
    TooLarge,
    TooManyRequests,
    TruncatedStream,
    Unavailable,
    UnsupportedMedia,
    UrlTooLong,
)
from providers.upstream import failures

ROOT = Path(__file__).parents[3]
REQUEST, UPSTREAM = "call.test_errors_request", "pipeline.test_errors_upstream"
CONNECTION = "pipeline.test_errors_connection"

# Where each row of the table is shown. A string that begins with "not" says why no test can reach it from outside.
SHOWN_BY: dict[str, str] = {
    "ModelNotFound": f"{REQUEST}.test_an_unknown_and_a_foreign_model_look_the_same",
    "NotFound": f"{REQUEST}.test_an_unknown_path",
    "BadToken": f"{REQUEST}.test_a_token_that_opens_nothing",
    "Forbidden": f"{REQUEST}.test_a_disabled_account",
    "MethodNotAllowed": f"{REQUEST}.test_a_method_that_an_endpoint_has_not",
    "BodyTimedOut": f"{REQUEST}.test_a_half_sent_body",
    "BudgetExceeded": "policies.test_limits.test_an_exhausted_budget_says_how_much_and_until_when",
    "SessionOver": "not an answer of HTTP: tests.gateway.realtime.test_limits shows it at the end of a socket's "
    "session",
    "SignInFailed": "pipeline.test_sign_in.test_a_refused_application_is_told_clearly",
    "FirstTokenTimedOut": f"{UPSTREAM}.test_a_first_token_that_does_not_come",
    "TooLarge": f"{REQUEST}.test_a_30_mb_body_through_the_sdk",
    "HeadTooLarge": "server.test_connections.test_endless_headers",
    "UrlTooLong": "server.test_head_limits.test_a_head_of_ten_megabytes_gets_the_reason",
    "CallTooLong": "server.test_time_bounds.test_an_answer_that_drips",
    "UnsupportedMedia": f"{REQUEST}.test_a_wrong_content_type",
    "KeyInUse": "endpoints.test_idempotency.test_an_answer_that_is_too_large_is_not_paid_twice",
    "KeyReused": "endpoints.test_idempotency.test_another_request_is_refused",
    "BadRange": "managed.test_files.test_ranges_of_a_file",
    "TooManyRequests": "policies.test_limits.test_a_limit_refuses_in_openais_shape_and_counts_users_apart",
    "HedgeLost": "not an answer: only the record of a request that another one overtook has it",
    "ClientGone": f"{REQUEST}.test_a_client_that_leaves_before_its_body_is_whole",
    "InvalidRequest": f"{REQUEST}.test_a_bad_body",
    "TruncatedStream": f"{UPSTREAM}.test_a_stream_that_ends_properly_but_too_early",
    "Unavailable": "server.test_start_and_stop.test_a_call_that_outlasts_the_drain",
    "HandshakeRefused": "not an answer of HTTP: tests.gateway.realtime.test_refusals shows it at a socket's handshake",
    "EgressRefused": f"{CONNECTION}.test_an_address_that_may_not_be_connected_to",
    "ConnectionsBusy": f"{CONNECTION}.test_every_connection_is_busy",
    "ConnectTimedOut": f"{CONNECTION}.test_nobody_accepts",
    "ConnectFailed": f"{CONNECTION}.test_nobody_listens",
    "ReadTimedOut": f"{UPSTREAM}.test_an_upstream_that_never_answers",
    "BrokenAnswer": f"{UPSTREAM}.test_broken_http",
    "UpstreamFailure": f"{UPSTREAM}.test_no_answer",
    "CancelledError": "pipeline.test_hangup.test_a_client_that_leaves_a_call",
    "Exception": "not reachable from outside: it means defects; its form is checked below",
}

# The statuses that each kind of error has by contract.
STATUSES: dict[type[BaseException], int] = {
    InvalidRequest: 400,
    BadToken: 401,
    Forbidden: 403,
    NotFound: 404,
    ModelNotFound: 404,
    MethodNotAllowed: 405,
    BodyTimedOut: 408,
    SessionOver: 408,
    FirstTokenTimedOut: 408,
    TooLarge: 413,
    HeadTooLarge: 431,
    UrlTooLong: 414,
    CallTooLong: 504,
    UnsupportedMedia: 415,
    KeyInUse: 409,
    KeyReused: 422,
    BadRange: 416,
    TooManyRequests: 429,
    ClientGone: 499,
    Unavailable: 503,
    TruncatedStream: 502,
    failures.UpstreamFailure: 502,
    failures.Disconnected: 502,
    failures.BrokenAnswer: 502,
    failures.EgressRefused: 502,
    failures.ConnectFailed: 502,
    failures.ConnectionsBusy: 503,
    failures.ConnectTimedOut: 504,
    failures.ReadTimedOut: 504,
    ValueError: 500,
}


def test_every_row_is_shown() -> None:
    assert {kind.__name__ for kind, _ in errors.TABLE} == set(SHOWN_BY)


@pytest.mark.parametrize("place", [place for place in SHOWN_BY.values() if not place.startswith("not ")])
def test_the_test_that_shows_a_row_exists(place: str) -> None:
    module, _, name = place.rpartition(".")
    assert callable(getattr(importlib.import_module(f"tests.gateway.{module}"), name))


def codes() -> set[str]:
    """Every code that an error of ours may have: the table's, and those that the code gives an error itself."""
    found = {row.code for _, row in errors.TABLE}
    for package in ("accounts", "batches", "gateway", "providers", "rules", "usage"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                    found.add(node.value.value)
    return {code for code in found if code and isinstance(code, str)}


def test_the_page_of_errors_has_every_code() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    assert len(codes()) > 80
    assert sorted(code for code in codes() if f"`{code}`" not in page) == []


def test_every_class_of_ours_has_a_row_of_its_own() -> None:
    ours = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, CallError)}
    assert ours - {CallError} == {kind for kind, _ in errors.TABLE if issubclass(kind, CallError)}


def test_no_row_hides_another() -> None:
    kinds = [kind for kind, _ in errors.TABLE]
    for index, kind in enumerate(kinds):
        assert not any(issubclass(later, kind) for later in kinds[index + 1 :]), kind


@pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
def test_statuses(kind: type[BaseException]) -> None:
    assert errors.status_of(kind("why")) == STATUSES[kind]


@pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
def test_json_and_event_say_the_same(kind: type[BaseException]) -> None:
    error = kind("why")
    body = errors.render_json(error)
    assert errors.render_sse(error) == b"event: error\ndata: " + body + b"\n\n"
    assert b"\n" not in body
    assert json.loads(body)["error"]["code"] == errors.code_of(error)
    assert errors.headers_of(error)["x-gatehouse-error-origin"] == "gateway"


def test_a_defects_own_words_are_never_shown() -> None:
    body = errors.render_json(ValueError("password=hunter2 at /srv/gatehouse"))
    assert b"hunter2" not in body
    assert b"/srv" not in body
    assert b"request id" in body


def test_a_limit_says_when_to_try_again() -> None:
    error = TooManyRequests("Too many.", headers={"retry-after": "3"})
    assert errors.headers_of(error)["retry-after"] == "3"
    assert errors.describe(error)["error"]["type"] == "rate_limit_error"
