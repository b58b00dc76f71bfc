"""Pages a third of the size: without the indentation of their templates, and a short name for many classes."""

import re
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from unfold.templatetags import unfold_list

# What keeps its blanks. Scripts hold JSON here, whose strings have no line breaks.
KEPT: Final = re.compile(rb"(<(?:textarea|pre)\b.*?</(?:textarea|pre)>)", re.DOTALL)
INDENTATION: Final = re.compile(rb"(?<!\s)\s*\n\s*")
"""Begins at the first of several blanks only: at each of them, many blanks without a line break would take long."""
CELL: Final = "gh-cell"
"""Stands in ``console.css`` for unfold's two dozen classes of every cell of every list."""


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
            response.content = b"".join(
                part if number % 2 else INDENTATION.sub(b"\n", part) for number, part in enumerate(parts)
            )
            if response.has_header("content-length"):
                response["content-length"] = str(len(response.content))
        return response
