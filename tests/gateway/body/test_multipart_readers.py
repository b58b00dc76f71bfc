"""What the scanner takes, real servers read as it does: the same parts, texts as texts and files as files."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.body.multipart import PartScanner
from gateway.call.errors import InvalidRequest
from tests.support.multipart_readers import READERS

B = b"XbX"
TYPE = "multipart/form-data; boundary=XbX"


def body(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"--XbX\r\n" + head + b"\r\n\r\n" + value + b"\r\n" for head, value in parts) + b"--XbX--\r\n"


def scanned(content: bytes) -> list[tuple[str, bytes]] | None:
    """The text parts as the scanner sees them; ``None`` when it refuses."""
    scanner = PartScanner(B, lambda name: True)
    try:
        scanner.feed(content)
    except InvalidRequest:
        return None
    return (
        sorted((name, value) for name, values in scanner.lists.items() for value in values) if scanner.ended else None
    )


def check(content: bytes) -> bool:
    """Whether the scanner takes ``content``; then every server that takes it must read the same texts."""
    ours = scanned(content)
    if ours is None:
        return False
    ours = [(name, value) for name, value in ours if _is_text(value)]
    for server, read in READERS.items():
        theirs = read(TYPE, content)
        if theirs is not None:
            texts = sorted((name, value) for name, is_file, value in theirs if not is_file and _is_text(value))
            assert texts == ours, server
    return True


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


N = b'Content-Disposition: form-data; name="n"'
# Each is read as another part, another kind or another value by one server at least, or was by an earlier version.
DIFFERENT = [
    N + b'; filename=""',
    N + b'; filename=" "',
    N + b'; filename="."',
    N + b'; filename="a/"',
    N + b'; filename="a\\\\"',
    N + b'; filename="&#47;"',
    N + b"; filename=",
    N + b"; filename*=utf-8''",
    N + b"; filename*=utf-8''a.txt",
    N + b'; FileName=""',
    N + b'; filename="a; name=model"',
    N + b'; filename="a name=model"',
    N + b'; filename="a\\"; name=\\"model"',
    N + b"; name*=utf-8''model",
    N + b"; name*0=mo; name*1=del",
    N + b'; name="model"',
    N + b";; x=1",
    N + b" ; x=1",
    N + b";\tx=1",
    N + b";",
    N.replace(b'"n"', b'"n%0a"'),
    N.replace(b'"n"', b'" n"'),
    N.replace(b'"n"', b'"n "'),
    N.replace(b'"n"', b'"n;m"'),
    N.replace(b'"n"', b'"n\\m"'),
    N.replace(b'"n"', b'"\xff"'),
    N.replace(b'"n"', '"größe"'.encode()),
    N.replace(b'"n"', b'"_charset_"'),
    N.replace(b"form-data", b"form-data form-data"),
    N + b"\r\nContent-Type: application/octet-stream",
    N + b"\r\nContent-Type: text/plain; charset=utf-16",
    N + b"\r\nContent-Type: text/plain; charset=utf-7",
    N + b"\r\nContent-Type: text/plain; charset*=utf-8''utf-16",
    N + b"\r\nContent-Type: multipart/mixed; boundary=YbY",
    N + b"\r\nContent-Transfer-Encoding: base64",
    N + b"\r\nContent-Transfer-Encoding: quoted-printable",
    N + b'; filename="a"\r\nContent-Transfer-Encoding: base64',
    N + b"\r\nContent-Encoding: gzip",
    N + b"\r\nContent-Length: 1",
    N + b"\r\nContent-Length: 9",
    N + b"\r\nX-Header: a\x00b",
]


@pytest.mark.parametrize("head", DIFFERENT)
def test_what_servers_read_differently_is_refused(head: bytes) -> None:
    for content in (body((head, b"10")), body((b'Content-Disposition: form-data; name="a"', b"b"), (head, b"10"))):
        assert scanned(content) is None


@pytest.mark.parametrize(
    "value", [b"a--XbX", b"a--XbX--\r\n", b" --XbX\r\n" + N + b"\r\n\r\n1", b"a\n--XbX--", b"--XbX"]
)
def test_a_boundary_within_a_line_is_refused(value: bytes) -> None:
    """Django ends a part there."""
    assert scanned(body((N, value))) is None


PLAIN = [
    N,
    N.lower(),
    N.replace(b'"n"', b"n"),
    N.replace(b'"n"', b'"image[]"'),
    N.replace(b'"n"', b'"source[file_id]"'),
    N + b"\r\nContent-Type: text/plain",
    N + b"\r\nContent-Type: text/plain; charset=UTF-8",
    N + b'\r\nContent-Type: text/plain; charset="utf-8"',
    N + b"\r\nContent-Type: application/json",
    N + b"\r\nContent-Transfer-Encoding: 8bit",
    N + b"\r\nContent-Length: 2",
    N + b'; filename="a.txt"',
    N + b'; filename="a;b \\"c\\".txt"',
    N + "; filename=\"ä.txt\"; filename*=utf-8''%C3%A4.txt".encode(),
    N + b'; filename="a.txt"\r\nContent-Type: application/octet-stream',
]


@pytest.mark.parametrize("head", PLAIN)
def test_what_clients_send_is_read_alike(head: bytes) -> None:
    content = body((head, b"10"), (b'Content-Disposition: form-data; name="model"', b"a/b"))
    assert check(content)
    for server, read in READERS.items():
        assert read(TYPE, content), server


words = st.sampled_from(
    [
        *(
            b"n",
            b"model",
            b"file",
            b"_charset_",
            b"",
            b"a b",
            b"a%22b",
            b"a\\",
            b"\xc3\xa4",
            b"\xff",
            b".",
            b"a/",
            b"utf-8''a",
        ),
    ]
)
keys = st.sampled_from([b"name", b"filename", b"filename*", b"name*", b"Name", b"FILENAME", b"x", b"charset"])
quoted = st.tuples(keys, words, st.booleans()).map(lambda t: t[0] + (b'="' + t[1] + b'"' if t[2] else b"=" + t[1]))
joints = st.sampled_from([b"; ", b";", b" ;", b";;", b",", b" "])
lines = st.sampled_from(
    [
        b"",
        b"\r\nContent-Type: text/plain",
        b"\r\nContent-Type: application/octet-stream",
        b"\r\nContent-Type: text/plain; charset=utf-16",
        b"\r\nContent-Type: multipart/mixed; boundary=YbY",
        b"\r\nContent-Transfer-Encoding: base64",
        b"\r\nContent-Encoding: deflate",
        b"\r\nContent-Length: 2",
        b"\r\n X: folded",
        b"\r\nX : a",
        b"\r\nX:\xff",
        b"\nX: 1",
        b"\r\ncontent-disposition: form-data; name=model",
    ]
)
heads = st.tuples(
    st.sampled_from(
        [b"Content-Disposition: form-data", b"content-disposition:form-data", b"Content-Disposition: Form-Data"]
    ),
    st.lists(st.tuples(joints, quoted), min_size=1, max_size=3),
    lines,
).map(lambda t: t[0] + b"".join(itertools.chain.from_iterable(t[1])) + t[2])
values = st.sampled_from(
    [b"10", b"", b"\r\n", b"--XbX", b"\n--XbX", b"MTA=", b"=31", b"\xfe\xff", "ä".encode(), b"--YbY--"]
)


@given(st.lists(st.tuples(heads, values), min_size=1, max_size=3))
@example([(b"Content-Disposition: form-data; name=n; x=\xc3\xa4", b"10")])
@example([(b"Content-Disposition: form-data; name=n; x=\x01", b"10")])
@example([(b"Content-Disposition: form-data; name=n; x=\x7f", b"10")])
@example([(b"Content-Disposition: form-data; name=n; filename=\xc3\xa4", b"10")])
def test_no_head_is_read_differently(parts: list[tuple[bytes, bytes]]) -> None:
    check(body(*parts))


pieces = st.sampled_from(
    [
        *(b"--XbX", b"--XbX--", b"\r\n", b"\n", b"\r", b"--", b" ", b"\t", b"\x00", b"value", b"\r\n\r\n"),
        *(N, N + b'; filename="a"', b'Content-Disposition: form-data; name="model"', b"X: 1"),
    ]
)


@given(st.lists(pieces, max_size=14))
@example([N, b"\r\n--XbX", N, b"\r\n\r\n"])
@example([N, b"\r\nX-Other: 1\r\n--XbX-Other: 1\r\n\r\nvalue"])
def test_no_frame_is_read_differently(shards: list[bytes]) -> None:
    check(b"--XbX\r\n" + b"".join(shards) + b"\r\n--XbX--\r\n")
