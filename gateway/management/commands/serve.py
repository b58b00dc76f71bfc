"""``manage.py serve``: run the server."""

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from accounts.command import NOT_MIGRATED, GatehouseCommand, missing_migrations, where_to_look
from accounts.words import counted
from gateway.config.env import port_number
from gateway.server import draining
from gateway.server.http import BoundedHttp
from gateway.server.preflight import start_faults
from gateway.server.processes import Server, Supervisor, address_of, bind
from gateway.server.websocket import SocketProtocol

WEBSOCKET_BYTES = 64 * 2**20
WORKERS = "GATEHOUSE_WORKERS"


class Command(GatehouseCommand):
    """Check that this start is valid, then serve with uvicorn."""

    help = (
        "Serve the gateway and its admin. Migrations are checked, and run only with --migrate. "
        "SIGTERM and Ctrl-C finish open calls first, for GATEHOUSE_DRAIN_SECONDS at most."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on, :: for all (default: 127.0.0.1)")
        parser.add_argument("--port", type=port_option, default=settings.PORT, help="port (default: PORT, or 8000)")
        workers = f"worker processes (default: GATEHOUSE_WORKERS, {settings.WORKERS})"
        parser.add_argument("--workers", type=int, default=settings.WORKERS, help=workers)
        parser.add_argument("--migrate", action="store_true", help="bring the database up to date first")

    def handle(self, *args: Any, **options: Any) -> None:
        faults = start_faults(options["workers"])
        if faults:
            raise CommandError("Gatehouse does not start:\n" + "\n".join(f"- {fault}" for fault in faults))
        self._check_database(migrate=options["migrate"])
        host, port = options["host"], options["port"]
        config = server_config(host, port, options["workers"])
        try:
            bound = bind(host, port)
        except OSError as error:
            raise CommandError(f"{address_of(host, port)} can't be listened on ({error.strerror}).") from None
        draining.end()

        def announce() -> None:
            self.stderr.write(f"Gatehouse listens on {address_of(host, bound.getsockname()[1])}")

        if options["workers"] > 1:
            os.environ[WORKERS] = str(options["workers"])  # each knows among how many limits are shared without Redis
            Supervisor(config, [bound], announce).run()
        else:
            server = Server(config, announce)
            server.run([bound])
            if not server.started:
                sys.exit(3)

    def _check_database(self, *, migrate: bool) -> None:
        try:
            missing = missing_migrations()
            if missing and not migrate:
                raise CommandError(
                    f"The database lacks {counted(missing, 'migration')}. Run 'manage.py migrate', or serve with "
                    "--migrate.",
                    returncode=NOT_MIGRATED,
                )
            if missing:
                self.stderr.write(f"Running {counted(missing, 'migration')}.")
                executor = MigrationExecutor(connection)
                executor.migrate(executor.loader.graph.leaf_nodes())
        except DatabaseError as error:
            raise CommandError(f"The database can't be used ({type(error).__name__}). {where_to_look()}") from None
        finally:
            connection.close()


def port_option(given: str) -> int:
    """Return the port of ``--port``; argparse says what is wrong with anything else."""
    try:
        return port_number(given)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def server_config(host: str, port: int, workers: int) -> uvicorn.Config:
    """Return uvicorn's configuration for the gateway."""
    return uvicorn.Config(
        "gateway.asgi:application",
        host=host,
        port=port,
        workers=workers,
        loop="uvloop",
        http=BoundedHttp,
        ws=SocketProtocol,
        ws_per_message_deflate=False,
        ws_max_size=WEBSOCKET_BYTES,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.DRAIN_SECONDS),
    )
