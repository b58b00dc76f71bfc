"""What must not happen twice. Whatever a caller sends: it is the upstream's to refuse, not a mirror's."""

import pytest

from gateway.body.acting import acts, stores
from gateway.body.json import decode_fields


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", False),
        (b'{"background":false,"tools":[{"type":"function"},{"type":"custom"},{"name":"f"}]}', False),
        (b'{"background":null,"tools":[]}', False),
        (b'{"background":true}', True),
        (b'{"background":"dark"}', True),
        (b'{"mcp_servers":[]}', True),
        (b'{"tools":[{"type":"web_search"}]}', True),
        (b'{"tools":"all"}', True),
    ],
)
def test_what_acts(body: bytes, expected: bool) -> None:
    assert acts(decode_fields(body)) is expected


@pytest.mark.parametrize(
    ("body", "chat", "responses"),
    [
        (b"{}", False, True),
        (b'{"store":null}', False, True),
        (b'{"store":false}', False, False),
        (b'{"store":true}', True, True),
        (b'{"store":1}', True, True),
    ],
)
def test_what_stores(body: bytes, chat: bool, responses: bool) -> None:
    fields = decode_fields(body)
    assert (stores(fields, "chat"), stores(fields, "responses")) == (chat, responses)
