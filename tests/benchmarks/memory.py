"""Memory: of each idle definition in the scheduler and the store, and of each run in flight.

Definitions are due every hour: the idle ones in half an hour, the others at once. The runs of those
wait in their handlers, in one worker that has a place for each.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from redis import Redis

from rota.common import keys
from tests.benchmarks import fires, page, usage
from tests.benchmarks.fires import CLOCK, Fleet

_QUIET = 3.0  # seconds until memory that a start took is given back, or will not be
_HOUR = 3600  # seconds
_SOON = 10  # seconds, by when the scheduler has started

Bytes = dict[str, int]


def main() -> None:
    """Measure as many definitions and runs as the command line says."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--definitions", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=2_000)
    given = parser.parse_args()
    rows = [_idle(given.definitions), _in_flight(given.runs)]
    head = ("", "number", "sched bytes", "worker bytes", "Redis bytes", "all")
    print(f"{page.machine()}\n\n{page.table(head, rows)}")


def _idle(count: int) -> tuple[str, ...]:
    few, many = (_measured(number, 0) for number in (100, count))
    return _row("idle definition", count - 100, few, many)


def _in_flight(count: int) -> tuple[str, ...]:
    idle, busy = _measured(count, 0), _measured(count, count)
    return _row("run in flight", count, idle, busy)


def _row(name: str, count: int, less: Bytes, more: Bytes) -> tuple[str, ...]:
    each = [(more[part] - less[part]) / count for part in ("sched", "worker", "store")]
    return (name, f"{count:,}", *(f"{size:,.0f}" for size in (*each, sum(each))))


def _measured(definitions: int, runs: int) -> Bytes:
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as folder, Fleet(Path(folder)) as fleet:
        config = Path(folder) / "rota.yaml"
        phase = (CLOCK.now_ms() // 1000 + (_SOON if runs else _HOUR // 2)) % _HOUR
        job = {"handler": "sleep", "every": f"{_HOUR}s", "phase": f"{phase}s"}
        fires.write_config(config, definitions, job)
        fleet.worker("--concurrency", str(max(runs, 16)))
        fleet.sched(config)
        redis = Redis(port=fleet.server.port)
        while redis.zcard(keys.leases("bench")) < runs:
            time.sleep(0.1)
        time.sleep(_QUIET)
        sizes = {name: usage.resident(pid) for name, pid in fleet.pids.items()}
        return sizes | {"store": redis.info("memory")["used_memory"]}
