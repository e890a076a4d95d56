"""Tasks: executed beside plain no-op jobs, and what planning takes, by the number of specs.

Two workers race through no-op jobs, each a run of its own; and through no-op tasks that one run has
planned, in interleaved rounds. Then a planner plans more and more specs, each a task that nobody
does: how long that takes, and the most memory that its worker had.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec
from redis import Redis

from rota.common import keys
from tests.benchmarks import page, race, usage
from tests.benchmarks.contenders import ROTA, Contender
from tests.benchmarks.race import Result
from tests.benchmarks.sight import CLOCK, when
from tests.support.processes import Plant

TASKS = Contender("tasks of one run", "on_tasks.py", 7_500)
_APP, GROUP = "tests.benchmarks.apps.planning", "bench"
_COUNTS = (10_000, 100_000, 1_000_000)
_WORKERS = 2


class Planned(NamedTuple):
    """What planning took."""

    seconds: float
    worker_mb: float  # the most that the worker ever had, of which before it planned
    before_mb: float
    store_bytes: float  # for each task


def main() -> None:
    """Measure; exit 1 if a job or a task was lost, or ran twice."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=100_000)
    given = parser.parse_args()
    results = _race(given.rounds, given.tasks)
    print(f"{page.machine()}\n\n{_table(results)}\n")
    print(page.table(_HEAD, [_row(count, given.rounds) for count in _COUNTS]))
    sys.exit(any(each.wrong for found in results.values() for each in found))


def _race(rounds: int, tasks: int) -> dict[Contender, list[Result]]:
    results: dict[Contender, list[Result]] = {ROTA: [], TASKS: []}
    for number in range(1, rounds + 1):
        for contender, found in results.items():
            with tempfile.TemporaryDirectory(prefix="rota-bench-") as folder:
                found.append(race.run(contender, tasks, Path(folder), workers=_WORKERS))
            told = f"round {number}: {contender.name} {found[-1]}"
            print(told, file=sys.stderr, flush=True)
    return results


def _table(results: dict[Contender, list[Result]]) -> str:
    names = {ROTA: "plain runs", TASKS: TASKS.name}
    rows = []
    for contender, found in results.items():
        paired = zip(found, results[ROTA], strict=True)
        rows.append(
            (
                names[contender],
                page.spread([each.rate for each in found]),
                page.spread([each.rate / plain.rate for each, plain in paired], 2),
                page.spread([each.worker_us for each in found]),
                page.spread([each.store_us for each in found]),
                next((r.wrong for r in found if r.wrong), f"{found[0].jobs:,}, each once"),
            )
        )
    head = (f"{_WORKERS} workers", "a second", "ratio", "worker us/job", "Redis us/job", "check")
    return page.table(head, rows)


_HEAD = ("specs, each a task", "planned in, s", "specs a second", "worker at most, MB",
         "before it planned, MB", "store, bytes/task")  # fmt: skip


def _row(count: int, rounds: int) -> tuple[str, ...]:
    found = [_plan(count) for _ in range(rounds)]
    return (
        f"{count:,}",
        page.spread([each.seconds for each in found], 2),
        page.spread([count / each.seconds for each in found]),
        page.spread([each.worker_mb for each in found], 1),
        page.spread([each.before_mb for each in found], 1),
        page.spread([each.store_bytes for each in found]),
    )


def _plan(count: int) -> Planned:
    """Let a worker of its own plan, in a store of its own."""
    job = {"cron": "0 0 29 2 *", "handler": "planning.plan", "args": {"count": count}}
    tenants = {"acme": {"group": GROUP, "jobs": {"planned": job}}}
    config = msgspec.json.encode({"groups": {GROUP: {}}, "tenants": tenants}).decode()
    with (
        tempfile.TemporaryDirectory(prefix="rota-bench-") as folder,
        Plant(Path(folder), ROTA_LOG_LEVEL="info") as plant,
        Redis.from_url(plant.url) as redis,
    ):
        plant.start_sched(config)
        worker = plant.start_worker(_APP)
        before_mb, stored = usage.peak(worker.pid) / 1e6, redis.info("memory")["used_memory"]
        plant.ask("trigger", "acme/planned")
        job_id = when(lambda: redis.hget(keys.slot(GROUP, "acme/planned"), "run")).decode()
        record = keys.run(GROUP, job_id)
        begun_ms = int(when(lambda: redis.hget(record, "at")))
        when(lambda: redis.hget(record, "state") == b"fanned")
        seconds = (CLOCK.now_ms() - begun_ms) / 1000
        stored = redis.info("memory")["used_memory"] - stored
        assert count == int(redis.hget(keys.fan(GROUP, job_id), "planned") or 0)
        return Planned(seconds, usage.peak(worker.pid) / 1e6, before_mb, stored / count)
