"""What a server process holds while it runs: the directory, the upstream client, the spool and the running calls.

``gateway.server.lifespan`` fills it when the server starts and empties it when it ends.
"""

import asyncio

from gateway.call.call import Call
from gateway.directory.directory import Directory
from providers.upstream.aiohttp_client import AiohttpClient
from providers.upstream.client import UpstreamClient
from usage.ledger import Ledger
from usage.spool import Spool


class State:
    """The parts of a running server process. ``state`` below is the only one."""

    client: UpstreamClient
    sockets: AiohttpClient
    ledger: Ledger
    spool: Spool

    def __init__(self) -> None:
        self.directory = Directory()
        self.running: set[Call | None] = set()
        self.started = False
        self.loop: asyncio.AbstractEventLoop | None = None


state = State()
