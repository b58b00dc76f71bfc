"""A stream that a thread reads, so that a test can see when and how it ends."""

import threading
import time
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.calls import CHAT_PATH, chat
from tests.support.installation import Gateway
from tests.support.servers import wait_until

ENDLESS = "hi [[sandbox: token-delay=20 endless]]"


class OpenStream:
    """``with OpenStream(gateway, token) as stream:`` runs an endless chat stream; ``ended_at`` is monotonic time.

    The block begins when something has come; for a call without a stream (``stream=False``) it begins at once.
    """

    def __init__(self, gateway: Gateway, token: str, prompt: str = ENDLESS, **more: Any) -> None:
        self.content = b""
        self.status = 0
        self.headers = httpx.Headers()
        self.ended_at = 0.0
        self.fault: Exception | None = None
        self._url = gateway.origin + CHAT_PATH
        self._token = token
        self._body = chat(prompt, **{"stream": True, **more})
        self._client = httpx.Client(trust_env=False, timeout=30)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if self._body["stream"]:
            wait_until(lambda: self.content or self.ended_at, 10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._thread.join(5)

    @property
    def flows(self) -> bool:
        """Whether something came a moment ago."""
        before = len(self.content)
        time.sleep(0.2)
        return not self.ended_at and len(self.content) > before

    def wait(self, seconds: float = 10) -> None:
        """Wait until it has ended."""
        wait_until(lambda: self.ended_at, seconds)

    def _read(self) -> None:
        headers = {"authorization": f"Bearer {self._token}"}
        try:
            with self._client.stream("POST", self._url, json=self._body, headers=headers) as response:
                self.status, self.headers = response.status_code, response.headers
                for part in response.iter_raw():
                    self.content += part
        except (httpx.HTTPError, RuntimeError, OSError) as error:  # RuntimeError: closed by __exit__ in the middle
            self.fault = error
        self.ended_at = time.monotonic()
