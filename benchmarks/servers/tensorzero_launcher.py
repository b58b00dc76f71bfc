"""Start the gateway inside TensorZero's Python package: ``tensorzero_launcher.py CONFIG ADDRESS_FILE``.

Runs with the peers' Python, apart from this project. The gateway's own threads serve; this one only waits.
"""

import signal
import sys
from pathlib import Path

import tensorzero

config, address = sys.argv[1:]
gateway = tensorzero._start_http_gateway(
    config_file=config, clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
draft = Path(f"{address}.draft")
draft.write_text(gateway.base_url)
draft.rename(address)
while True:
    signal.pause()
