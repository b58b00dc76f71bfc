"""What is said of an ``Authorization`` header that holds no token as it should."""

import pytest

from accounts.tokens import new_token
from gateway.access.authentication import presented_token
from gateway.call.errors import BadToken, code_of


@pytest.mark.parametrize(
    ("header", "code", "says"),
    [
        ('"Bearer {}"', "invalid_api_key", "quotation mark"),
        ("'{}'", "invalid_api_key", "quotation mark"),
        ("{}", "invalid_api_key", "without the word 'Bearer'"),
        (" {} ", "invalid_api_key", "without the word 'Bearer'"),
        ("Token {}", "missing_api_key", "not of the scheme 'Bearer'"),
        ("Bearer ", "missing_api_key", "didn't provide"),
        ("Bearer '{}'", "invalid_api_key", "in quotation marks"),
    ],
)
def test_what_is_wrong_with_the_header(header: str, code: str, says: str) -> None:
    token = new_token()
    with pytest.raises(BadToken, match=says) as caught:
        presented_token({b"authorization": header.format(token).encode()})
    assert code_of(caught.value) == code
    assert token not in str(caught.value)
    given = {b"authorization": header.format(token).encode(), b"x-api-key": b"gh-key"}
    if "Bearer '" not in header:
        assert presented_token(given) == "gh-key"
