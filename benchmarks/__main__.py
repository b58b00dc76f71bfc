"""The command: ``python -m benchmarks [--quick] [--servers ...] [--scenarios ...] [--against REV] [--json]
[--write]``.
"""

import argparse
import json
import os
import resource
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from benchmarks import isolation, machine, report, runner, tools
from benchmarks.errors import BenchmarkError
from benchmarks.options import Options, quick
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import SERVERS, Server, previous

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
LAST = tools.CACHE / "last.json"
OPEN_FILES = 16_384
DESCRIPTION = """Measure Gatehouse beside nginx, Envoy, Ferro, TensorZero, Portkey and LiteLLM, and beside an earlier
commit of itself, one at a time on one core."""
EPILOG = """Exit codes: 0 every run counts; 1 a run is void (calls failed, or records are missing); 2 the harness could
not run; 130 interrupted. Progress goes to stderr, the report to stdout. It needs two cores and loopback only."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(prog="python -m benchmarks", description=DESCRIPTION, epilog=EPILOG)
    for name, rows in (("servers", SERVERS), ("scenarios", SCENARIOS)):
        keys = ", ".join(row.key for row in rows)
        found.add_argument(f"--{name}", metavar="A,B", help=f"only these, of: {keys}")
    found.add_argument("--against", metavar="REV", help="measure this earlier commit of Gatehouse too, in the same run")
    found.add_argument("--quick", action="store_true", help="short runs: they show that it works, not how fast it is")
    found.add_argument("--rounds", type=_count, metavar="N", help="rounds over all servers, in turn; the median counts")
    found.add_argument("--seconds", type=_count, metavar="N", help="seconds of a round")
    found.add_argument("--memory-requests", type=_count, metavar="N", help="requests of the long run")
    found.add_argument(
        "--memory-seconds", type=_count, metavar="N", help="bound of the long run for a server that is slow"
    )
    found.add_argument("--open-streams", type=_count, metavar="N", help="streams to hold open at once")
    found.add_argument("--idle-sockets", type=_count, metavar="N", help="sockets that stay silent")
    found.add_argument("--talking-sockets", type=_count, metavar="N", help="sockets that talk beside them")
    found.add_argument("--talk-seconds", type=_count, metavar="N", help="how long they talk; 600 for a soak")
    found.add_argument("--cores", type=_cores, default=(0, 1), metavar="A,B", help="server's core, load's core (0,1)")
    found.add_argument("--json", action="store_true", help="print JSON instead of tables")
    found.add_argument("--write", action="store_true", help=f"put the tables into docs/{PAGE.name}")
    return found


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 10_000_000:
        raise argparse.ArgumentTypeError("give a number from 1 to 10000000")
    return value


def _cores(text: str) -> tuple[int, int]:
    first, _, second = text.partition(",")
    pair = int(first), int(second)
    if pair[0] == pair[1]:
        raise argparse.ArgumentTypeError("the server and the load need a core each")
    return pair


def chosen(rows: Sequence[Any], keys: str | None) -> list[Any]:
    """Return the rows named in ``keys`` (all when there are none), in their own order; raise on an unknown one."""
    if keys is None:
        return list(rows)
    names = [key.strip() for key in keys.split(",") if key.strip()]
    unknown = set(names) - {row.key for row in rows}
    if unknown or not names:
        known = ", ".join(row.key for row in rows)
        raise BenchmarkError(f"Unknown: {', '.join(sorted(unknown)) or 'nothing named'}. Valid values: {known}.")
    return [row for row in rows if row.key in names]


def options(arguments: argparse.Namespace) -> Options:
    """Return the knobs that the command line asks for."""
    base = quick(Options()) if arguments.quick else Options()
    known = {field.name for field in fields(Options)}
    given = {name: value for name, value in vars(arguments).items() if name in known and value is not None}
    return replace(base, **given)


def subjects(arguments: argparse.Namespace) -> list[Server]:
    """Return the servers that were asked for, the earlier commit behind Gatehouse's own rows."""
    servers = chosen(SERVERS, arguments.servers)
    if arguments.against:
        ours = [number for number, server in enumerate(servers) if server.key.startswith("gatehouse")]
        servers.insert(ours[-1] + 1 if ours else len(servers), previous(arguments.against))
    return servers


def isolated(servers: Sequence[Server]) -> str:
    """Leave the network, and say so; raise BenchmarkError when that fails and a server would listen on all
    interfaces.
    """
    if isolation.enter():
        return "a namespace of its own; nothing can leave the machine"
    open_ones = [server.key for server in servers if server.everywhere]
    if open_ones:
        raise BenchmarkError(
            f"{', '.join(open_ones)}: listen on every interface, and this system gives no network namespace to be "
            f"alone "
            "in. Run as root, or leave them out with --servers."
        )
    return "NOT a namespace of its own: this system gives none"


def document(arguments: argparse.Namespace, argv: Sequence[str]) -> dict[str, Any]:
    """Run what was asked for and return all there is to report."""
    missing = set(arguments.cores) - os.sched_getaffinity(0)
    if missing:
        raise BenchmarkError(f"This needs two cores; this machine lacks {', '.join(map(str, sorted(missing)))}.")
    servers, rows = subjects(arguments), chosen(SCENARIOS, arguments.scenarios)
    tools.need_programs(tools.ALWAYS)
    for server in servers:
        server.prepare()
    before = machine.facts()
    runner.say(f"load before: {before['load before']}")
    before["network"] = isolated(servers)
    results = runner.run(runner.Plan(servers, rows, options(arguments), arguments.cores))
    return {
        "command": shlex.join(["make", "bench", f"ARGS={shlex.join(argv)}"] if argv else ["make", "bench"]),
        "machine": before,
        "versions": machine.versions(servers),
        "titles": {server.key: server.title for server in servers},
        "results": results,
    }


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, most), most))
    # A polite kill ends the run as Ctrl-C does: through the clean-up of every child.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found = document(arguments, argv)
    except BenchmarkError as error:
        runner.say(str(error))
        return 2
    except KeyboardInterrupt:
        runner.say("interrupted; everything that was started is stopped")
        return 130
    LAST.parent.mkdir(exist_ok=True)
    LAST.write_text(json.dumps(found, indent=1))
    text = report.render(found)
    print(json.dumps(found, indent=1) if arguments.json else text)
    if arguments.write:
        report.write(PAGE, text)
    void = report.void_runs(found["results"])
    if void:
        runner.say("some runs are void: see the end of the report")
    return 1 if void else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
