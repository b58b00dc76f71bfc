"""The server's socket and processes: bound before anything starts, said to listen once someone answers, closed
first."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import wait

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess

Announce = Callable[[], None]


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound but does not listen yet. ``::`` takes both families, as every other server does.

    Raises ``OSError`` when the address is in use, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        bound.bind((host, port))
        # uvicorn's own sockets are made by the loop, which sets this; the accepted connections inherit it.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        bound.close()
        raise
    return bound


def address_of(host: str, port: int) -> str:
    """Return the address that people write: an IPv6 host in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn's server, which says when it listens."""

    def __init__(self, config: uvicorn.Config, announce: Announce) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


class Supervisor(Multiprocess):
    """uvicorn's parent of several workers. It says when the first listens, and lets go of the socket before they
    end."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], announce: Announce) -> None:
        super().__init__(config, sockets)
        self._announce: Announce | None = announce

    def keep_subprocess_alive(self) -> None:
        if self._announce is not None and any(process.is_ready(timeout=1) for process in self.processes):
            self._announce()
            self._announce = None
        super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        # While the parent holds it, the kernel goes on taking connections that no worker will ever accept.
        for held in self.sockets:
            held.close()
        super().terminate_all()


def end_with_parent() -> None:
    """Let this worker drain and end when its parent is gone, however that ended. Does nothing in a process without
    one."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), name="gatehouse-parent", daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
