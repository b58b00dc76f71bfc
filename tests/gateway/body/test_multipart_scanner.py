"""The scanner of multipart bodies beside another parser: what both take they read alike; what is doubtful is
refused.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from gateway.body.multipart import MAX_FIELD_BYTES, MAX_PARTS, PartScanner
from gateway.body.upload import boundary_of, reference_field
from gateway.call.errors import InvalidRequest

B = b"XbX"
names = st.sampled_from(["model", "file", "n", "purpose", "image[]", "prompt"])
# Pieces from which a body can be put together that two parsers might read differently.
shards = st.sampled_from(
    [
        b"--XbX",
        b"--XbX--",
        b"\r\n--XbX\r\n",
        b"\r\n--XbX--\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"--",
        b"XbX",
        b'Content-Disposition: form-data; name="model"',
        b'Content-Disposition: form-data; name="n"',
        b'Content-Disposition: form-data; name="file"; filename="a"',
        b"Content-Type: text/plain",
        b"\r\n\r\n",
        b"value",
        b" ",
        b"\x00\xff",
    ]
)


@dataclass
class Other:
    """What python-multipart reads."""

    parts: list[tuple[str, bytes]] = field(default_factory=list)
    ended: bool = False
    header: list[bytes] = field(default_factory=lambda: [b"", b""])
    headers: dict[bytes, bytes] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)

    def callbacks(self) -> Any:
        return {
            "on_part_begin": lambda: (self.headers.clear(), self.data.clear()),
            "on_header_field": lambda data, start, end: self._header(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._header(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self.data.extend(data[start:end]),
            "on_part_end": self._end_part,
            "on_end": lambda: setattr(self, "ended", True),
        }

    def _header(self, place: int, data: bytes) -> None:
        self.header[place] += data

    def _end_header(self) -> None:
        self.headers[self.header[0].lower()] = self.header[1]
        self.header = [b"", b""]

    def _end_part(self) -> None:
        _, options = parse_options_header(self.headers.get(b"content-disposition"))
        self.parts.append((options.get(b"name", b"").decode("utf-8", "replace"), bytes(self.data)))


def scan(body: bytes, cuts: list[int], wanted: Any = ("n", "purpose", "prompt")) -> PartScanner:
    """Feed ``body`` in pieces."""
    scanner = PartScanner(B, wanted)
    edges = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    for start, end in itertools.pairwise(edges):
        scanner.feed(body[start:end])
    return scanner


def other(body: bytes) -> Other:
    read = Other()
    parser = MultipartParser(B, read.callbacks())
    parser.write(body)
    parser.finalize()
    return read


def part(name: str, value: bytes, more: bytes = b"") -> bytes:
    return (
        b'--XbX\r\nContent-Disposition: form-data; name="' + name.encode() + b'"' + more + b"\r\n\r\n" + value + b"\r\n"
    )


@given(
    st.lists(st.tuples(names, st.binary(max_size=60)), min_size=1, max_size=6, unique_by=lambda pair: pair[0]),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_sound_bodies_are_read_as_the_other_parser_reads_them(parts: list[tuple[str, bytes]], cuts: list[int]) -> None:
    body = (
        b"".join(part(name, value, b'; filename="a"' if name == "file" else b"") for name, value in parts)
        + b"--XbX--\r\n"
    )
    scanner = scan(body, cuts)
    assert scanner.ended
    read = dict(other(body).parts)
    assert read == dict(parts)
    assert scanner.values == {name: value for name, value in parts if name not in ("file", "image[]")}
    if "model" in read:
        assert scanner.model_span is not None
        assert body[slice(*scanner.model_span)] == read["model"]


@given(st.lists(shards, max_size=14), st.lists(st.integers(0, 300), max_size=8))
def test_what_is_taken_has_one_reading(pieces: list[bytes], cuts: list[int]) -> None:
    body = b"--XbX\r\n" + b"".join(pieces) + b"\r\n--XbX--\r\n"
    try:
        scanner = scan(body, cuts)
    except InvalidRequest:
        return
    if not scanner.ended:
        return
    try:
        read = other(body)
    except MultipartParseError:
        return  # the upstream refuses it
    models = [value for name, value in read.parts if name == "model"]
    assert len(models) <= 1
    if scanner.model_span is not None:
        assert models == [body[slice(*scanner.model_span)]]
    else:
        assert not models


@given(st.lists(shards, max_size=14), st.lists(st.integers(0, 300), max_size=8))
def test_the_pieces_do_not_matter(pieces: list[bytes], cuts: list[int]) -> None:
    body = b"--XbX\r\n" + b"".join(pieces)

    def outcome(edges: list[int]) -> Any:
        try:
            scanner = scan(body, edges)
        except InvalidRequest as refused:
            return refused.code
        return scanner.values, scanner.model_span, scanner.ended

    assert outcome(cuts) == outcome([]) == outcome(list(range(len(body))))


HEAD = b'--XbX\r\nContent-Disposition: form-data; name="n"'
END = b"\r\n--XbX--\r\n"


@pytest.mark.parametrize(
    "body",
    [
        HEAD + b'\r\nContent-Disposition: form-data; name="model"\r\n\r\n1' + END,
        HEAD + b'; name="model"\r\n\r\n1' + END,
        HEAD + b"; name*=utf-8''model\r\n\r\n1" + END,
        HEAD + b'\r\n ; filename="a"\r\n\r\n1' + END,
        HEAD + b"\r\nx\r\n\r\n1" + END,
        HEAD + b"\r\nA: 1\nB: 2\r\n\r\n1" + END,
        HEAD.replace(b"form-data", b"attachment") + b"\r\n\r\n1" + END,
        HEAD.replace(b'"n"', b'"mo\\"del"') + b"\r\n\r\n1" + END,
        HEAD.replace(b'name="n"', b'name=""') + b"\r\n\r\n1" + END,
        b"--XbX\r\n\r\n1" + END,
        b"--XbX\nContent-Disposition: form-data; name=n\n\n1\n--XbX--\n",
        HEAD + b"\r\n\r\n1\n--XbX\r\n" + HEAD[7:] + b"\r\n\r\n2" + END,
        HEAD + b"\r\n\r\n1\r--XbX\r\n" + HEAD[7:] + b"\r\n\r\n2" + END,
        HEAD + b"\r\n\r\n--XbX" + END,
        HEAD + b"\r\n\r\n1\r\n--XbXy" + END,
        HEAD + b"\r\n\r\n1" + END + part("model", b"a") + b"--XbX--\r\n",
        HEAD + b"\r\n\r\n1\r\n--XbX--y\r\n",
        b"preamble\r\n" + HEAD + b"\r\n\r\n1" + END,
        part("model", b"a") + part("model", b"b") + b"--XbX--",
        part("n", b"a") + part("n", b"b") + b"--XbX--",
        part("model", b"a", b'; filename="a"') + b"--XbX--",
        part("model", b"YQ==", b"\r\nContent-Transfer-Encoding: base64") + b"--XbX--",
        part("model", b"a" * (MAX_FIELD_BYTES + 1)) + b"--XbX--",
        part("other", b"", b"\r\nX-Long: " + b"a" * 20_000) + b"--XbX--",
        part("other", b"", b"\r\nX-Long: " + b"a" * 20_000)[:-4],
        b"".join(part(f"p{number}", b"") for number in range(MAX_PARTS + 1)) + b"--XbX--",
    ],
    ids=range(26),
)
def test_what_two_parsers_could_read_differently_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        scan(body, [])
    assert refused.value.code == "invalid_multipart"


def test_look_alikes_in_content_are_content() -> None:
    content = b"a --Xb and XbX-- and \r\n--Xb\r\n--\r\n-XbX \r\n -XbX\r\n\r\n--X" * 50
    body = part("image[]", content, b'; filename="a"') + part("model", b"m") + b"--XbX--"
    scanner = scan(body, [7, 33, 70, 71, 500])
    assert scanner.ended
    assert scanner.values == {"model": b"m"}


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'Multipart/Form-Data; charset=utf-8; Boundary="a b:c"', b"a b:c"),
        (b"multipart/form-data; boundary=----=_Part_0_1.2;", b"----=_Part_0_1.2"),
    ],
)
def test_boundaries(content_type: bytes, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=a; boundary=b",
        b"multipart/form-data; boundary*=utf-8''a",
        b'multipart/form-data; boundary="a',
        b'multipart/form-data; boundary="a "',
        b"multipart/form-data; boundary=" + b"a" * 71,
        "multipart/form-data; boundary=ä".encode(),
    ],
)
def test_malformed_boundaries(content_type: bytes) -> None:
    with pytest.raises(InvalidRequest, match="no valid multipart boundary"):
        boundary_of(content_type)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("file_ids[]", "file_ids"),
        ("file_ids", "file_ids"),
        ("input_reference[file_id]", "file_id"),
        ("images[0][file_id]", "file_id"),
        ("container[id]", "container"),
        ("imageId", "mentioned"),
        ("source[document_ids][]", "mentioned"),
        ("model", ""),
        ("file", ""),
        ("id", ""),
        ("", ""),
    ],
)
def test_reference_parts(name: str, found: str) -> None:
    assert reference_field(name) == found
