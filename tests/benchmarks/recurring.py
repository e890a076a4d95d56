"""Recurring jobs, each every ten seconds: how many are held, how late they are, at what cost.

One scheduler and one worker with their default settings; beside them BullMQ's job schedulers, which
one worker process looks after, and, up to so many definitions as `--beats` says, Celery's beat and
RedBeat, each with a Celery worker; how late they are nobody can tell. Definitions are spread evenly
over the period.
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
_BEATS = Contender(
    "redbeat", "on_beat.py", 0, ("celery-redbeat", "celery[redis]", "packaging"), "celery"
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
    parser.add_argument("--beats", type=int, default=10_000, help="most definitions; 0: without")
    parser.add_argument("--concurrency", default="16", help="of the worker")
    given = parser.parse_args()
    rows, again, able = [], 0, _able(given)
    for count in given.definitions:
        for name in able:
            if name in _BEAT_KINDS and count > given.beats:
                continue
            print(f"{name}, {count:,} definitions ...", file=sys.stderr, flush=True)
            window = _measured(name, count, given)
            rows.append(_row(name, count, given.period, window))
            again += window.again
            print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    print(f"{page.machine()}\n\n{page.table((*_HEAD, *_COSTS), rows)}")
    sys.exit(bool(again))


def _able(given: argparse.Namespace) -> list[str]:
    """Return who takes part; says why others do not."""
    wanted: dict[str, Contender | None] = {"rota": None}
    if not given.without_bullmq:
        wanted["bullmq"] = next(each for each in CONTENDERS if each.is_node)
    if given.beats:
        wanted.update(dict.fromkeys(_BEAT_KINDS, _BEATS))
    reasons = {name: environment.why_not(each) if each else "" for name, each in wanted.items()}
    for name, reason in reasons.items():
        if reason:
            print(f"without {name}: {reason}", file=sys.stderr, flush=True)
    return [name for name, reason in reasons.items() if not reason]


def _measured(name: str, count: int, given: argparse.Namespace) -> Window:
    with (
        tempfile.TemporaryDirectory(prefix="rota-bench-") as folder,
        Fleet(Path(folder), given.period * 1000) as fleet,
    ):
        if name == "rota":
            _start_rota(fleet, Path(folder) / "rota.yaml", count, given)
        elif name == "bullmq":
            command = _SCHEDULERS.command(environment.HOME, "enqueue", str(count))
            fleet.start("upsert", *command, until="upserted")
            fleet.start("worker", *_SCHEDULERS.command(environment.HOME, "work"))
        else:
            _start_beat(fleet, name.partition(" ")[0], str(count))
        fleet.window(given.settle)
        return fleet.window(given.window)


def _start_rota(fleet: Fleet, config: Path, count: int, given: argparse.Namespace) -> None:
    fires.write_config(config, count, {"handler": "fire", "every": f"{given.period}s"})
    fleet.worker("--concurrency", given.concurrency)
    took = fleet.sched(config)
    print(f"scheduler started in {took:.1f} s", file=sys.stderr, flush=True)


def _start_beat(fleet: Fleet, kind: str, count: str) -> None:
    def command(word: str) -> list[str]:
        return _BEATS.command(environment.HOME, word, kind, count)

    if kind == "redbeat":
        fleet.start("upsert", *command("upsert"), until="upserted")
    fleet.start("worker", *command("work"))
    fleet.start("sched", *command("beat"))


def _row(name: str, count: int, period: int, window: Window) -> tuple[str, ...]:
    wanted = count / period
    costs = [window.us(process) if process in window.cpu else 0.0 for process in _PROCESSES]
    return (
        name,
        f"{count:,}",
        f"{wanted:,.0f}",
        f"{window.runs / window.seconds / wanted:.1%}",
        *(f"{window.quantile(percent):,} ms" if any(window.late) else "-" for percent in (50, 99)),
        f"{window.left_out:,}",
        f"{window.again:,}",
        *(f"{cost:.0f}" if cost else "-" for cost in (*costs, sum(costs))),
    )


_BEAT_KINDS = ("celery beat", "redbeat")
_PROCESSES = ("sched", "worker", "store")
