"""What real servers read in a multipart body: Django, Starlette, aiohttp, and Node's busboy.

Every reader returns the parts as ``(name, is_file, value)``, or ``None`` when it refuses the body or drops a part of
it.
"""

import asyncio
import atexit
import base64
import io
import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException
from starlette.formparsers import MultiPartParser as StarletteParser

from tests.support.node_package import node_with

Parts = list[tuple[str, bool, bytes]]
Reader = Callable[[str, bytes], Parts | None]
SCRIPT = Path(__file__).with_name("node") / "multipart_readers.js"


def with_django(content_type: str, body: bytes) -> Parts | None:
    """Read as a Django view does."""
    meta = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body))}
    handler = MemoryFileUploadHandler()
    try:
        fields, files = MultiPartParser(meta, io.BytesIO(body), [handler], "utf-8").parse()
    except (MultiPartParserError, ValueError):
        return None
    parts: Parts = [(name, False, value.encode()) for name, values in fields.lists() for value in values]
    return parts + [(name, True, each.read()) for name, values in files.lists() for each in values]


def with_starlette(content_type: str, body: bytes) -> Parts | None:
    """Read as a Starlette or FastAPI endpoint does, with python-multipart."""

    async def read() -> Parts:
        async def stream() -> Any:
            yield body

        headers = _starlette_headers(content_type)
        form = await StarletteParser(
            headers, stream(), max_files=10_000, max_fields=10_000, max_part_size=10**7
        ).parse()
        return [
            (name, True, await value.read()) if hasattr(value, "read") else (name, False, value.encode())
            for name, value in form.multi_items()
        ]

    try:
        return asyncio.run(read())
    except (MultiPartException, UnicodeError, KeyError):
        return None


def _starlette_headers(content_type: str) -> Any:
    return Headers({"content-type": content_type})


def with_aiohttp(content_type: str, body: bytes) -> Parts | None:
    """Read as an aiohttp handler does."""

    async def read() -> Parts:
        loop = asyncio.get_running_loop()
        stream = aiohttp.StreamReader(BaseProtocol(loop), 2**20, loop=loop)
        stream.feed_data(body)
        stream.feed_eof()
        request = make_mocked_request(
            "POST", "/", {"content-type": content_type}, payload=stream, client_max_size=10**7
        )
        form = await request.post()
        return [
            (name, True, value.file.read())
            if isinstance(value, aiohttp.web.FileField)
            else (name, False, _bytes(value))
            for name, value in form.items()
        ]

    try:
        return asyncio.run(read())
    except (
        aiohttp.http_exceptions.HttpProcessingError,
        aiohttp.web.HTTPException,
        ValueError,
        LookupError,
        RuntimeError,
        AssertionError,
    ):
        return None


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


@cache
def _node() -> subprocess.Popen[str]:
    """The process that runs busboy."""
    node, modules = node_with("busboy")
    process = subprocess.Popen(
        [node, str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"NODE_PATH": str(modules)},
    )
    atexit.register(process.kill)
    return process


def with_busboy(content_type: str, body: bytes) -> Parts | None:
    """Read as most of Node's servers do."""
    process = _node()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"type": content_type, "body": base64.b64encode(body).decode()}) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    if "error" in answer:
        return None
    return [(name, is_file, base64.b64decode(value)) for name, is_file, value in answer["parts"]]


READERS: dict[str, Reader] = {
    "django": with_django,
    "starlette": with_starlette,
    "aiohttp": with_aiohttp,
    "busboy": with_busboy,
}
