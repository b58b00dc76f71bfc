"""Gemini's generateContent, and what goes with it: counting, embeddings, images and speech."""

from providers.dialects.gemini.answer import read_answer, write_answer
from providers.dialects.gemini.counting import read_count, write_count, write_count_request
from providers.dialects.gemini.errors import read_error, write_error
from providers.dialects.gemini.reading import read_request
from providers.dialects.gemini.stream import StreamReader, StreamWriter
from providers.dialects.gemini.writing import media_needed, write_request

__all__ = [
    "StreamReader",
    "StreamWriter",
    "media_needed",
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
