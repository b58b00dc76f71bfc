"""A record's line becomes a row, whatever its strings hold."""

import msgspec
import pytest

from tests.support.usage_factory import attempt
from usage import rows


@pytest.mark.parametrize("text", ["a\0b", "\\u0000k", "\\\0u0000", "\\\\u0000", '"\0"\n', "\0" * 3, "é\0\\x"])
def test_nul_characters_go_and_nothing_else(text: str) -> None:
    line = msgspec.json.encode(attempt(error_message=text))
    assert rows.decode(line).error_message == text.replace("\0", "")
