"""Anthropic's messages."""

from providers.dialects.anthropic.answer import read_answer, read_count, write_answer, write_count
from providers.dialects.anthropic.errors import read_error, write_error
from providers.dialects.anthropic.reading import read_request
from providers.dialects.anthropic.stream import StreamReader
from providers.dialects.anthropic.stream_writer import StreamWriter
from providers.dialects.anthropic.writing import write_count_request, write_request

__all__ = [
    "StreamReader",
    "StreamWriter",
    "read_answer",
    "read_count",
    "read_error",
    "read_request",
    "write_answer",
    "write_count",
    "write_count_request",
    "write_error",
    "write_request",
]
