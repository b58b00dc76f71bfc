"""What tests of routing share: three upstreams whose every answer the test scripts."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.stage import Stage

NAMES = ("one", "two", "three")


@pytest.fixture(scope="module")
def stages() -> Iterator[list[Stage]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Stage()) for _ in NAMES]
