"""A name given twice is refused, however the body is spaced; one that is spaced as usual is not looked through
again.
"""

import json

import pytest

from gateway.body import json as bodies
from gateway.call.errors import InvalidRequest

FIELDS = {"model": "a/b", "messages": [{"role": "user", "content": 'é " \n'}], "ü": None, "n": 1.5}


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_body_as_python_writes_it_is_not_looked_through(monkeypatch: pytest.MonkeyPatch, ascii_only: bool) -> None:
    looked: list[bytes] = []
    monkeypatch.setattr(bodies, "_refuse_duplicate_names", lambda body, fields: looked.append(body))
    body = json.dumps(FIELDS, ensure_ascii=ascii_only).encode()
    assert {name: json.loads(bytes(raw)) for name, raw in bodies.decode_fields(body).items()} == FIELDS
    assert bool(looked) is ascii_only, "a name with an escape has more than one spelling"


@pytest.mark.parametrize(
    "body",
    [
        b'{"x":10,"x":1,"b":2,"c":3,"d":4}',  # without the first x as long as if it were spaced
        b'{"x":1,"b":2,"c":3,"x":10,"d":4}',
        b'{"x": 1, "x": 1}',
        b'{"x": 1, "\\u0078": 1}',
        b'{"x": 1, "y": 2, "x": 1}',
        b'{"x": 1,  "x":1}',
    ],
)
def test_a_name_given_twice_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bodies.decode_fields(body)
    assert (refused.value.code, refused.value.param) == ("duplicate_field", "x")


def test_a_name_that_is_half_a_character_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        bodies.decode_fields(b'{"\\ud800": 1}')
