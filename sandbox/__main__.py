"""`python -m sandbox --port N`: the sandbox on uvicorn, until it is interrupted."""

import argparse
import logging
import os
import socket
import sys
import threading
from collections.abc import Sequence

import uvicorn

from sandbox.app import DEFAULT_KEY, JOB_SECONDS, MAX_BODY, Sandbox, create_app
from sandbox.wire.connection import SandboxProtocol, SandboxWebSocketProtocol

MAX_WEBSOCKET_MESSAGE = 64 * 1024 * 1024


class Server(uvicorn.Server):
    """uvicorn's server, which reports on stdout when it is ready and at which addresses."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:
                host, port = listener.getsockname()[:2]
                origin = f"http://{host}:{port}"
                print(f"Sandbox listening on {origin}/v1", flush=True)
                print(f"Anthropic's API is at {origin}/v1/messages, Gemini's at {origin}/v1beta", flush=True)
                vertex = f"{origin}/v1/projects/PROJECT/locations/LOCATION"
                print(f"Vertex AI's is at {vertex}, its tokens are at {origin}/token", flush=True)
                print(f"Azure's are at {origin}/openai/v1 and {origin}/openai", flush=True)


def server(app: Sandbox, host: str = "127.0.0.1", port: int = 0) -> Server:
    """A server that is not running yet: `server(app).run()`, or `await server(app).serve()` in a loop."""
    return Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",
            http=SandboxProtocol,
            ws=SandboxWebSocketProtocol,
            ws_max_size=MAX_WEBSOCKET_MESSAGE,
            lifespan="on",
            # What uvicorn would report are the cuts that were asked for; app.py reports defects itself.
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until SIGINT or SIGTERM. With `--port 0` the system chooses; the line on stdout says which."""
    parser = argparse.ArgumentParser(prog="sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100, help="0 lets the system choose (default: %(default)s)")
    parser.add_argument(
        "--key", action="append", dest="keys", help=f"an accepted API key, repeatable (default: {DEFAULT_KEY})"
    )
    parser.add_argument("--no-record", action="store_true", help="do not keep requests for GET /sandbox/requests")
    parser.add_argument(
        "--job-seconds",
        type=float,
        default=os.environ.get("SANDBOX_JOB_SECONDS", JOB_SECONDS),
        help="how long a batch or a fine-tuning job takes (default: $SANDBOX_JOB_SECONDS, or %(default)s)",
    )
    parser.add_argument("--max-body", type=int, default=MAX_BODY, help="largest request body in bytes")
    parser.add_argument(
        "--until-eof", action="store_true", help="end when standard input ends, so with the process that started it"
    )
    options = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    app = create_app(
        options.keys or (DEFAULT_KEY,),
        record=not options.no_record,
        max_body=options.max_body,
        job_seconds=options.job_seconds,
    )
    running = server(app, options.host, options.port)
    if options.until_eof:
        threading.Thread(target=_end_at_eof, args=(running,), daemon=True).start()
    running.run()
    return 0


def _end_at_eof(running: Server) -> None:
    sys.stdin.buffer.read()
    running.should_exit = True


if __name__ == "__main__":
    sys.exit(main())
