"""Where a server under test takes a call, and how it is told the upstream."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """One address: the whole URL, the headers that the server wants, and the model's name there."""

    url: str
    headers: dict[str, str]
    model: str
