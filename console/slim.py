"""Pages a third of the size: without the indentation of their templates, and short names for many classes."""

import re
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from unfold.templatetags import unfold_list
from unfold.widgets import BASE_CLASSES, SWITCH_CLASSES

# What keeps its whitespace, behind the tag that opens it. Scripts hold JSON here, whose strings have no line breaks.
KEPT: Final = re.compile(rb"(<(?:textarea|pre)\b[^>]*>)(.*?)(?=</(?:textarea|pre)>)", re.DOTALL)
INDENTATION: Final = re.compile(rb"(?<!\s)\s*\n\s*")
"""Begins at the first of several whitespace characters only: at each of them, many would take long."""
CELL: Final = "gh-cell"
"""Replaces, in ``console.css``, unfold's two dozen classes of every cell of every list."""
SHORT: Final = tuple(
    (" ".join(classes).replace("'", "&#x27;").encode(), name)
    for classes, name in ((BASE_CLASSES, b"gh-control"), (SWITCH_CLASSES, b"gh-switch"))
)
"""What replaces the classes that unfold's inputs share."""
INLINE_CELL: Final = re.compile(rb'class="min-h-\[62\.5px\][^"]*?(field-\w+ group field-tabular(?: +errors)?)[^"]*"')
INLINE_PARTS: Final = (
    (re.compile(rb'<td class="delete [^"]*"'), b'<td class="delete gh-inline gh-inline-delete"'),
    (re.compile(rb'<tr class="border-b border-base-200 [^"]*"'), b'<tr class="gh-inline-title"'),
    (re.compile(rb'<div class="absolute backdrop-blur-xs [^"]*"'), b'<div class="gh-inline-undo"'),
    (
        re.compile(rb'<(label|div) class="cursor-pointer flex h-\[38px\] w-\[38px\] [^"]*?(delete-template)? *"'),
        rb'<\1 class="gh-bin \2"',
    ),
    (
        re.compile(rb'"material-symbols-outlined absolute group-[^"]*top-1/2[^"]*"'),
        b'"material-symbols-outlined gh-chevron"',
    ),
)
"""What replaces the classes of other parts of rows beneath a page, and of the arrow of a choice."""


class Slim(MiddlewareMixin):
    """Takes the indentation out of pages. Made with the server's other middleware: commands need no lists."""

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        unfold_list.ROW_CLASSES[:] = [CELL]
        unfold_list.CHECKBOX_CLASSES[:] = ["action-checkbox", CELL]

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Return the response with a shorter body, where it is a page."""
        if not response.streaming and response.get("content-type", "").startswith("text/html"):
            parts = KEPT.split(response.content)
            response.content = b"".join(part if number % 3 == 2 else _slim(part) for number, part in enumerate(parts))
            if response.has_header("content-length"):
                response["content-length"] = str(len(response.content))
        return response


def _slim(part: bytes) -> bytes:
    """Return a part of a page, shorter, that looks and works the same."""
    for classes, name in SHORT:
        part = part.replace(classes, name)
    part = INLINE_CELL.sub(rb'class="gh-inline \1"', part)
    for classes_of, short in INLINE_PARTS:
        part = classes_of.sub(short, part)
    return INDENTATION.sub(b"\n", part)
