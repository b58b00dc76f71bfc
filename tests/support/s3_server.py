"""A server that speaks S3's protocol, in a thread of the tests: moto's. It checks nothing of who asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from tests.support.servers import free_port

BACKEND = "storages.backends.s3.S3Storage"
BUCKET = "gatehouse"


class S3Server:
    """A running server with an empty bucket."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)

    @property
    def options(self) -> dict[str, Any]:
        """The options of a storage in the bucket."""
        return {
            "bucket_name": BUCKET,
            "endpoint_url": f"http://127.0.0.1:{self.port}",
            "access_key": "key",
            "secret_key": "secret",
            "region_name": "us-east-1",
        }

    @property
    def client(self) -> Any:
        """Amazon's own client of the server."""
        return boto3.client(
            "s3",
            endpoint_url=self.options["endpoint_url"],
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
        )

    def names(self) -> list[str]:
        """The names of the bucket's objects."""
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server, for as long as the block runs."""
    running = S3Server()
    running._server.start()
    try:
        running.client.create_bucket(Bucket=BUCKET)
        yield running
    finally:
        running._server.stop()
