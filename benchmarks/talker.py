"""The upstream for sockets: greets with ``session.created`` and answers each piece of audio with one: ``python -m
benchmarks.talker PORT``.
"""

import sys

import aiohttp
import uvloop
from aiohttp import web

from benchmarks import talk
from benchmarks.endpoint import REALTIME


async def session(request: web.Request) -> web.WebSocketResponse:
    """Hold one session: the answers are numbered in their order."""
    socket = web.WebSocketResponse(compress=False, max_msg_size=0)
    await socket.prepare(request)
    await socket.send_str(talk.CREATED)
    number = 0
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT and talk.is_sound(message.data):
            await socket.send_str(talk.answer(number))
            number += 1
    return socket


async def healthy(request: web.Request) -> web.Response:
    """Report that it is up."""
    return web.Response(text="ok")


def main() -> None:
    """Serve until the process is ended."""
    application = web.Application()
    application.router.add_get(f"/v1{REALTIME}", session)
    application.router.add_get("/healthz", healthy)
    uvloop.install()
    web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None, backlog=4096)


if __name__ == "__main__":
    main()
