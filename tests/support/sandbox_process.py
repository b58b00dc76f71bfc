"""A sandbox process on a free port, for this directory's tests and for everyone who needs an upstream."""

import base64
import json
import os
from types import TracebackType
from typing import Any, Self

import httpx
from openai import AsyncOpenAI, OpenAI

from tests.support.forked import Forked

KEY = "sk-sandbox"
STDERR = 2


class SandboxProcess:
    """`with SandboxProcess("--no-record") as sandbox: sandbox.client().models.list()`.

    `url` is the base URL for an SDK, with `/v1`; `origin` is the same without. Ends with the `with` block.
    """

    def __init__(self, *options: str) -> None:
        self.command = ["sandbox", "--port", "0", *options]
        self.ahead = 0.0
        """Seconds that its clock was moved forward."""

    def __enter__(self) -> Self:
        out, writable = os.pipe()
        self.process = Forked(self.command, os.environ, writable, STDERR)
        os.close(writable)
        self._stdout = open(out)
        line = self._stdout.readline()
        if "listening on" not in line:
            raise RuntimeError(f"the sandbox did not start: {line!r}")
        self.url = line.split()[-1]
        self.origin = self.url.removesuffix("/v1")
        self.http = httpx.Client(headers={"authorization": f"Bearer {KEY}"}, timeout=30, trust_env=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(10)
        self._stdout.close()

    def client(self, **options: Any) -> OpenAI:
        return OpenAI(**{"base_url": self.url, "api_key": KEY, "max_retries": 0, **options})

    def async_client(self, **options: Any) -> AsyncOpenAI:
        return AsyncOpenAI(**{"base_url": self.url, "api_key": KEY, "max_retries": 0, **options})

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """A JSON request to `path` under /v1; `x_sandbox="..."` gives directives."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(self.url + path, json=body, headers=named)

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.http.get(self.url + path, params=query)

    def requests(self, path: str = "") -> list[dict[str, Any]]:
        """What was received, oldest first, `body` as bytes, `headers` as a list of pairs."""
        query = {"path": path} if path else {}
        items: list[dict[str, Any]] = self.http.get(f"{self.origin}/sandbox/requests", params=query).json()["requests"]
        for item in items:
            item["body"] = base64.b64decode(item["body"])
        return items

    def clear(self) -> None:
        self.http.delete(f"{self.origin}/sandbox/requests").raise_for_status()

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = self.http.get(f"{self.origin}/sandbox/stats").json()
        return stats

    def advance(self, seconds: float) -> None:
        """Moves the sandbox's clock forward."""
        self.http.post(f"{self.origin}/sandbox/clock", json={"seconds": seconds}).raise_for_status()
        self.ahead += seconds

    def sent_model(self) -> str:
        """Return the model of the one request that was received, from its JSON or its form."""
        (sent,) = self.requests()
        if sent["body"].startswith(b"{"):
            return str(json.loads(sent["body"])["model"])
        return str(sent["body"].split(b'name="model"\r\n\r\n', 1)[1].split(b"\r\n", 1)[0].decode())
