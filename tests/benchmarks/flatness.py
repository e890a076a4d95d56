"""Flatness: memory, lateness and cost of recurring jobs, one row for each stretch of a long run.

What grows shows in the last rows. The store keeps the last outcomes of each job, so that it grows
until each has as many as are kept: 20 periods.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from redis import Redis

from tests.benchmarks import fires, page, usage
from tests.benchmarks.fires import Fleet, Window

_HEAD = ("minutes", "fires/s", "late p50", "p99", "left out", "again")
_COSTS = ("sched us/fire", "worker us/fire", "Redis us/fire", "sched MB", "worker MB", "Redis MB")
_MB = 1e6


def main() -> None:
    """Run as long as the command line says; exit 1 if an occurrence ran twice."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--definitions", type=int, default=10_000)
    parser.add_argument("--period", type=int, default=10, help="seconds")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rows", type=int, default=12)
    given = parser.parse_args()
    rows, again = [], 0
    with (
        tempfile.TemporaryDirectory(prefix="rota-bench-") as folder,
        Fleet(Path(folder), given.period * 1000) as fleet,
    ):
        config = Path(folder) / "rota.yaml"
        job = {"handler": "fire", "every": f"{given.period}s"}
        fires.write_config(config, given.definitions, job)
        fleet.worker()
        fleet.sched(config)
        fleet.window(given.period + 2)
        for number in range(1, given.rows + 1):
            window = fleet.window(given.minutes * 60 / given.rows)
            rows.append(_row(number * given.minutes / given.rows, window, _megabytes(fleet)))
            again += window.again
            print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    print(f"{page.machine()}\n\n{page.table((*_HEAD, *_COSTS), rows)}")
    sys.exit(bool(again))


def _megabytes(fleet: Fleet) -> list[float]:
    store = Redis(port=fleet.server.port).info("memory")["used_memory"]
    sizes = [usage.resident(fleet.pids[name]) for name in ("sched", "worker")]
    return [size / _MB for size in (*sizes, store)]


def _row(minutes: float, window: Window, megabytes: list[float]) -> tuple[str, ...]:
    return (
        f"{minutes:.1f}",
        f"{window.runs / window.seconds:,.0f}",
        *(f"{window.quantile(percent):,} ms" for percent in (50, 99)),
        *(f"{count:,}" for count in (window.left_out, window.again)),
        *(f"{window.us(process):.0f}" for process in ("sched", "worker", "store")),
        *(f"{size:,.1f}" for size in megabytes),
    )
