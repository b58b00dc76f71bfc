"""A record's line becomes a row, whatever its strings hold."""

from datetime import datetime, timedelta

import msgspec
import pytest

from tests.support.usage_factory import attempt
from usage import rows


@pytest.mark.parametrize("text", ["a\0b", "\\u0000k", "\\\0u0000", "\\\\u0000", '"\0"\n', "\0" * 3, "é\0\\x"])
def test_nul_characters_go_and_nothing_else(text: str) -> None:
    line = msgspec.json.encode(attempt(error_message=text))
    assert rows.decode(line).error_message == text.replace("\0", "")


@pytest.mark.parametrize("microseconds", [0, 1, 999_999, 1_000_000, 1_795_696_153_396_902, 1_795_696_153_000_000])
def test_moments_are_written_as_python_does(microseconds: int) -> None:
    values = rows.Columns(rows.row(attempt(started_at=microseconds, teams=[], metadata={}, units={"x": 1})))
    assert values["created_at"] == str(datetime(1970, 1, 1) + timedelta(microseconds=microseconds))
    assert (values["teams"], values["metadata"], values["units"]) == ("[]", "{}", '{"x":1}')
    assert set(values) == set(rows.NAMES)
