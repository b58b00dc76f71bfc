"""Characters that no one sees: controls, line ends, and those without a width, also as JSON, URLs and HTML escape them.

What stores or shows a text may drop them, so they hide nothing from a search for secrets.
"""

import re

CONTROLS = bytes([*range(0x20), 0x7F])
BYTES = bytes([*CONTROLS, *range(0x80, 0xC0), 0xC2, 0xCD, 0xD8, 0xE1, 0xE2, 0xEF, 0xF3])
"""What they are made of when nothing escapes them."""
# Soft hyphen, joiners, marks of direction, and the like: their code points in UTF-16.
_points = (
    rb"00(?:[01][0-9a-f]|7f|[89][0-9a-f]|ad)|034f|061c|180[b-f]|200[b-f]|202[a-e89]|20[67][0-9a-f]"
    rb"|fe0[0-9a-f]|feff|fff[9ab]"
)
_BY_MARK: dict[bytes, bytes] = {
    b"\xc2": rb"\xc2[\x80-\x9f\xad]",
    b"\xcd\x8f": rb"\xcd\x8f",
    b"\xd8\x9c": rb"\xd8\x9c",
    b"\xe1\xa0": rb"\xe1\xa0[\x8b-\x8f]",
    b"\xe2\x80": rb"\xe2\x80[\x8b-\x8f\xa8-\xae]",
    b"\xe2\x81": rb"\xe2\x81[\xa0-\xbf]",
    b"\xef\xb8": rb"\xef\xb8[\x80-\x8f]",
    b"\xef\xbb": rb"\xef\xbb\xbf",
    b"\xef\xbf": rb"\xef\xbf[\xb9-\xbb]",
    b"\xf3\xa0": rb"\xf3\xa0[\x80-\x87][\x80-\xbf]",
    b"\\": rb"\\[nrt]",
    b"\\u": rb"\\u(?i:" + _points + rb"|db40\\udc[0-7][0-9a-f])",
    b"%": rb"%(?i:C2%(?:[89][0-9A-F]|AD)|CD%8F|E2%80%(?:8[B-F]|A[89A-E])|E2%81%A[0-9A-F]|EF%B8%8[0-9A-F]|EF%BB%BF)",
    b"&": rb"&(?i:#x0{0,6}(?:" + _points + rb"|ad);|#0{0,6}(?:820[3-7]|823[2-8]|828[89]|829[0-9]|173|65279|847);"
    rb"|(?:shy|zwn?j|ZeroWidthSpace|NoBreak|[lr]rm);)",
}
"""Patterns for some of them, by the bytes that each of those begins with."""
ANY = re.compile(b"|".join([rb"[\x00-\x1f\x7f]", *_BY_MARK.values()]))
_in_utf8 = [(mark, re.compile(pattern)) for mark, pattern in _BY_MARK.items() if mark[0] > 0x7F]
# Numbers, as Python looks for a byte in bytes many times as quickly as for bytes of the length one.
BACKSLASH, PERCENT, AMPERSAND = b"\\%&"
_line_end, _escape, _percent, _entity = (re.compile(_BY_MARK[mark]) for mark in (b"\\", b"\\u", b"%", b"&"))


def without(text: bytes) -> bytes:
    """Return ``text`` without them, quickly. What a removal brings together is looked at again by another pattern."""
    text = text.translate(None, CONTROLS)
    if not text.isascii():
        for mark, pattern in _in_utf8:
            if mark in text:
                text = pattern.sub(b"", text)
    if BACKSLASH in text:
        text = _escape.sub(b"", _line_end.sub(b"", text))
    if PERCENT in text:
        text = _percent.sub(b"", text)
    if AMPERSAND in text:
        text = _entity.sub(b"", text)
    return text
