"""Tokens are counted in a process of its own, which may end at any time, and holds up nothing."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
import toktok

from providers import tokenizer as module
from providers.tokenizer import CountFailed, Tokenizer
from tests.support.servers import wait_until

TEXTS = ["hello wonderful world", "", "ä\u2028\n{}"]


@pytest.fixture
def tokenizer() -> Iterator[Tokenizer]:
    made = Tokenizer()
    yield made
    made.close()


@pytest.mark.parametrize("encoding", ["o200k_base", "cl100k_base", "o200k_harmony", "qwen3.5"])
def test_it_counts_as_the_library_does(tokenizer: Tokenizer, encoding: str) -> None:
    assert tokenizer.count(TEXTS, encoding) == sum(toktok.batch_count(TEXTS, encoding))
    assert tokenizer.count([], encoding) == 0


def test_a_process_that_ended_is_started_again(tokenizer: Tokenizer) -> None:
    first = tokenizer.count(TEXTS, "cl100k_base")
    process = tokenizer._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    assert tokenizer.count(TEXTS, "cl100k_base") == first


def test_what_cannot_be_counted(tokenizer: Tokenizer) -> None:
    with pytest.raises(CountFailed):
        tokenizer.count(TEXTS, "no-such-encoding")
    assert tokenizer.count(TEXTS, "cl100k_base") > 0


def test_what_takes_too_long(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.01)
    started = time.monotonic()
    with pytest.raises(CountFailed):
        tokenizer.count(["a b c " * 100_000], "qwen3.5")
    assert time.monotonic() - started < 5


def test_it_ends_with_the_process_that_started_it(tokenizer: Tokenizer) -> None:
    tokenizer.count(TEXTS, "cl100k_base")
    process = tokenizer._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()  # as the end of the parent does
    wait_until(lambda: process.poll() is not None, 5)
    assert process.returncode == 0
