"""What is a whole number, and what is a duration, whatever someone writes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.numbers import LARGEST, milliseconds, positive_whole, whole_number
from sandbox.wire import numbers as sandbox_numbers

NO_NUMBERS = ["", " 1", "1 ", "+1", "-1", "1.0", "1e3", "0x1", "1_0", "²", "١", "Ⅷ", "१", "a", "1\n", "\x00"]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number(text):
    assert whole_number(text) is None
    assert whole_number(text.encode()) is None
    assert sandbox_numbers.whole_number(text) is None


@given(st.integers(-5, 2 * LARGEST), st.integers(0, 30))
def test_a_number_is_read_as_it_is_written_within_its_bound(number, zeros):
    text = "0" * zeros + str(number)
    expected = number if 0 <= number <= LARGEST else None
    assert whole_number(text) == expected
    assert whole_number(text.encode(), LARGEST) == expected
    assert whole_number(text, most=9) == (number if 0 <= number <= 9 else None)


def test_thousands_of_digits_are_no_number():
    assert whole_number("9" * 5000) is whole_number(b"1" + b"0" * 100_000) is None
    assert whole_number("0" * 5000 + "7") == 7
    assert sandbox_numbers.whole_number("9" * 5000) is None


@given(st.text(max_size=8))
def test_no_text_raises(text):
    number = whole_number(text)
    assert number is None or int(text) == number


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, 1e308, -1e-9, 1e10])
def test_what_is_no_duration(seconds):
    assert milliseconds(seconds) is None


@given(st.floats(0, 1e6))
def test_a_duration_is_rounded(seconds):
    assert abs(milliseconds(seconds) - seconds * 1000) <= 0.5


@pytest.mark.parametrize("value", [7, 7.0, "7", " 7.0", "0.7e1"])
def test_a_positive_whole_number_is_read_however_json_writes_it(value):
    assert positive_whole(value) == 7
    assert positive_whole(value, 6) is None


@pytest.mark.parametrize(
    "value", [0, -1, 1.5, True, None, "", "x", "nan", "inf", "9" * 5000, 10**400, math.inf, math.nan, [7], {}]
)
def test_what_is_no_positive_whole_number(value):
    assert positive_whole(value) is None
