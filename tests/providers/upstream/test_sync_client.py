"""Answers that are read as they come: what is there is given, however little it is, and a hang has an end."""

import threading
import time

import pytest

from providers.upstream.sync_client import CheckedClient, Unreachable


def trickle(more):
    """Answer a few bytes at once, and the rest when ``more`` is set."""

    def answer(handler, asked):
        handler.send_response(200)
        handler.send_header("content-length", "8")
        handler.end_headers()
        handler.wfile.write(b"one\n")
        if more.wait(20):
            handler.wfile.write(b"two\n")

    return answer


def test_a_slow_answer_is_given_as_it_comes(upstream):
    more = threading.Event()
    upstream.answers["/v1/files/a/content"] = trickle(more)
    with CheckedClient(upstream.url + "/", {}, read_timeout=10) as client:
        pieces = client.pieces("files/a/content")
        assert next(pieces) == b"one\n"
        more.set()
        assert b"".join(pieces) == b"two\n"


def test_an_answer_that_hangs_ends_with_the_read_timeout(upstream):
    more = threading.Event()
    upstream.answers["/v1/files/a/content"] = trickle(more)
    started = time.monotonic()
    with CheckedClient(upstream.url + "/", {}, read_timeout=1) as client, pytest.raises(Unreachable) as caught:
        list(client.pieces("files/a/content"))
    more.set()
    assert caught.value.reason == "timeout"
    assert time.monotonic() - started < 8
