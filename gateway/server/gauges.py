"""What a server process holds at the moment, for its metrics."""

import os
import time

from gateway.call.load import load
from gateway.limits import metrics
from gateway.state import state
from gateway.telemetry.shared import Gauges
from usage import request_log

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
UNKNOWN_AGE = 1e9
"""The age, in seconds, of a configuration that was never loaded."""


def read_gauges() -> Gauges:
    """Return the gauges of ``gateway.telemetry.families`` as they are in this process. Any thread may call it."""
    pid = (str(os.getpid()),)
    gauges: Gauges = {
        "process_cpu_seconds_total": {pid: time.process_time()},
        "process_resident_memory_bytes": {pid: float(_resident_bytes())},
    }
    if request_log.log is not None:
        gauges["gatehouse_request_log_dropped"] = {(): float(request_log.log.dropped)}
    if state.started:
        gauges |= _serving()
    return gauges


def _serving() -> Gauges:
    ledger = state.ledger.state()
    age = state.directory.age()
    whole = {
        "gatehouse_workers": 1,
        "gatehouse_calls_in_flight": len(state.running),
        "gatehouse_body_bytes_in_flight": load.bytes,
        "gatehouse_attempts_running": ledger["running"],
        "gatehouse_spool_records": ledger["pending"],
        "gatehouse_spool_memory_records": ledger["memory"],
        "gatehouse_spool_oldest_seconds": ledger["oldest_seconds"],
        "gatehouse_spool_dropped_records": ledger["dropped"],
        "gatehouse_ledger_flush_age_seconds": ledger["last_flush_seconds"],
        "gatehouse_directory_age_seconds": age if state.directory.loaded else UNKNOWN_AGE,
    }
    gauges: Gauges = {name: {(): float(value)} for name, value in whole.items()}
    connections = state.client.connections()
    gauges["gatehouse_upstream_connections"] = {
        (account, name): float(count)
        for account, counts in connections.items()
        for name, count in (("busy", counts.busy), ("idle", counts.idle))
    }
    gauges["gatehouse_upstream_waiting"] = {
        (account,): float(counts.waiting) for account, counts in connections.items()
    }
    return gauges | metrics.gauges(state.directory.rules)


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * PAGE_BYTES
    except (OSError, ValueError, IndexError):  # no Linux
        return 0
