"""Recurring jobs, each every ten seconds: how many are held, how late they are, at what cost.

One scheduler and one worker with their default settings; beside them BullMQ's job schedulers, which
one worker process looks after. Definitions are spread evenly over the period.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import environment, fires, page
from tests.benchmarks.contenders import CONTENDERS, Contender
from tests.benchmarks.fires import Fleet, Window

_SCHEDULERS = Contender(
    "bullmq schedulers", "on_schedulers.cjs", 0, ("ioredis", "bullmq"), "bullmq"
)
_HEAD = ("", "definitions", "fires/s wanted", "held", "late p50", "p99", "left out", "again")
_COSTS = ("sched us/fire", "worker us/fire", "Redis us/fire", "all us/fire")


def main() -> None:
    """Run what the command line asks for; exit 1 if an occurrence ran twice."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument(
        "definitions", nargs="*", type=int, default=[1_000, 10_000, 20_000, 100_000]
    )
    parser.add_argument("--period", type=int, default=10, help="seconds")
    parser.add_argument("--window", type=float, default=10.0, help="seconds that count")
    parser.add_argument("--settle", type=float, default=12.0, help="seconds before them")
    parser.add_argument("--without-bullmq", action="store_true")
    parser.add_argument("--concurrency", default="16", help="of the worker")
    given = parser.parse_args()
    reason = environment.why_not(next(each for each in CONTENDERS if each.is_node))
    rows, again = [], 0
    for count in given.definitions:
        for name in ("rota", "bullmq"):
            if name == "bullmq" and (given.without_bullmq or reason):
                continue
            print(f"{name}, {count:,} definitions ...", file=sys.stderr, flush=True)
            window = _measured(name, count, given)
            rows.append(_row(name, count, given.period, window))
            again += window.again
            print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    print(f"{page.machine()}\n\n{page.table((*_HEAD, *_COSTS), rows)}")
    sys.exit(bool(again))


def _measured(name: str, count: int, given: argparse.Namespace) -> Window:
    with (
        tempfile.TemporaryDirectory(prefix="rota-bench-") as folder,
        Fleet(Path(folder), given.period * 1000) as fleet,
    ):
        if name == "rota":
            config = Path(folder) / "rota.yaml"
            job = {"handler": "fire", "every": f"{given.period}s"}
            fires.write_config(config, count, job)
            fleet.worker("--concurrency", given.concurrency)
            took = fleet.sched(config)
            print(f"scheduler started in {took:.1f} s", file=sys.stderr, flush=True)
        else:
            command = _SCHEDULERS.command(environment.HOME, "enqueue", str(count))
            fleet.start("upsert", *command, until="upserted")
            fleet.start("worker", *_SCHEDULERS.command(environment.HOME, "work"))
        fleet.window(given.settle)
        return fleet.window(given.window)


def _row(name: str, count: int, period: int, window: Window) -> tuple[str, ...]:
    wanted = count / period
    costs = [window.us(process) if process in window.cpu else 0.0 for process in _PROCESSES]
    return (
        name,
        f"{count:,}",
        f"{wanted:,.0f}",
        f"{window.runs / window.seconds / wanted:.1%}",
        f"{window.quantile(50):,} ms",
        f"{window.quantile(99):,} ms",
        f"{window.left_out:,}",
        f"{window.again:,}",
        *(f"{cost:.0f}" if cost else "-" for cost in (*costs, sum(costs))),
    )


_PROCESSES = ("sched", "worker", "store")
