"""Pages a third of the size: without the indentation of their templates, and a short name for many classes."""

import re
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from unfold.templatetags import unfold_list

# What keeps its blanks. Scripts hold JSON here, whose strings have no line breaks.
KEPT: Final = re.compile(rb"(<(?:textarea|pre)\b.*?</(?:textarea|pre)>)", re.DOTALL)
INDENTATION: Final = re.compile(rb"\s*\n\s*")
CELL: Final = "gh-cell"
"""Stands in ``console.css`` for unfold's two dozen classes of every cell of every list."""


def shorten_classes() -> None:
    """Let unfold's lists write one class for a cell."""
    unfold_list.ROW_CLASSES[:] = [CELL]
    unfold_list.CHECKBOX_CLASSES[:] = ["action-checkbox", CELL]


class Slim(MiddlewareMixin):
    """Takes the indentation out of pages."""

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
