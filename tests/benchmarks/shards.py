"""Skewed shards, planned in four ways: how many tasks, and how long planning and processing take.

The sizes of the shards are by Zipf's law: the n-th has an n-th of the items of the first. An item
is a pause, and so is the beginning of each task, as for a connection and a transaction; they stand
for work elsewhere, so that places, not this machine's cores, are what is scarce.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import msgspec
from redis import Redis

from rota.common import keys
from tests.benchmarks import page
from tests.benchmarks.sight import CLOCK, when
from tests.support.processes import Plant

GROUP, TENANT = "bench", "acme"
_APP = "tests.benchmarks.apps.shards"
_DEALT, _WHOLE, _ITEMS, _BOUNDED = "dealt", "whole", "items", "bounded"
WAYS = {
    _DEALT: "shards dealt out beforehand, a list for each place",
    _ITEMS: "grabbed, a task for each item",
    _WHOLE: "grabbed, a task for each shard",
    _BOUNDED: "grabbed, items merged up to {most} a task",
}


class Size(NamedTuple):
    """How much is done, and by whom."""

    items: int
    shards: int
    most: int  # items in a task
    item_ms: float
    open_ms: float  # of each task
    workers: int
    places: int  # of each worker

    @property
    def sizes(self) -> list[int]:
        """Return how many items each shard has, by Zipf's law; at least one."""
        whole = sum(1 / n for n in range(1, self.shards + 1))
        found = [max(1, round(self.items / whole / n)) for n in range(1, self.shards + 1)]
        found[0] += self.items - sum(found)
        return found


class Result(NamedTuple):
    """What became of one job."""

    tasks: int
    planning_s: float
    processing_s: float
    skew: float  # the time for which the busiest place was at work, in that of all on average
    wrong: int  # items that were not done exactly once

    @property
    def in_all_s(self) -> float:
        """Return how long it took in all."""
        return self.planning_s + self.processing_s


def main() -> None:
    """Measure; exit 1 if an item was not done exactly once."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items", type=int, default=110_000)
    parser.add_argument("--shards", type=int, default=500)
    parser.add_argument("--most", type=int, default=400, help="items in a task at most")
    parser.add_argument("--item-ms", type=float, default=1.0)
    parser.add_argument("--open-ms", type=float, default=2.5, help="of each task")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--places", type=int, default=4, help="of each worker")
    given = vars(parser.parse_args())
    rounds, size = given.pop("rounds"), Size(**given)
    results = measure(size, rounds)
    print(f"{page.machine()}\n{_about(size)}\n\n{report(size, results)}")
    sys.exit(any(each.wrong for found in results.values() for each in found))


def measure(size: Size, rounds: int) -> dict[str, list[Result]]:
    """Go each way once in each round, with the same workers."""
    results: dict[str, list[Result]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as folder:
        for name, length in (("done", size.items), ("busy", 8 * size.workers * size.places)):
            (Path(folder) / name).write_bytes(bytes(length))
        environment = {
            "BENCH_FOLDER": folder,
            "BENCH_PLACES": str(size.places),
            "BENCH_ITEM_S": str(size.item_ms / 1000),
            "BENCH_OPEN_S": str(size.open_ms / 1000),
            "ROTA_LOG_LEVEL": "info",
        }
        with Plant(Path(folder), **environment) as plant:
            plant.start_sched(_config(size))
            for number in range(size.workers):
                words = ("--concurrency", str(size.places))
                plant.start_worker(_APP, *words, name=f"worker-{number}.log")
            for number in range(1, rounds + 1):
                for way, found in results.items():
                    found.append(_go(way, plant))
                    print(f"round {number}: {way} {found[-1]}", file=sys.stderr, flush=True)
    return results


def report(size: Size, results: dict[str, list[Result]]) -> str:
    """Return the table; all times beside those of tasks of bounded size."""
    best = median(each.in_all_s for each in results[_BOUNDED])
    head = ("", "tasks", "planning, s", "processing, s", "in all : bounded",
            "busiest place : mean", "check")  # fmt: skip
    rows = []
    for way, found in results.items():
        in_all = median(each.in_all_s for each in found)
        wrong = max(each.wrong for each in found)
        rows.append(
            (
                WAYS[way].format(most=size.most),
                f"{found[0].tasks:,}",
                page.spread([each.planning_s for each in found], 2),
                page.spread([each.processing_s for each in found], 1),
                f"{in_all / best:.2f}",
                page.spread([each.skew for each in found], 2),
                f"{wrong:,} items wrong" if wrong else "each item once",
            )
        )
    return page.table(head, rows)


def _about(size: Size) -> str:
    sizes = size.sizes
    return (
        f"{size.items:,} items of {size.item_ms:g} ms in {size.shards} shards of {sizes[-1]} to"
        f" {sizes[0]:,}, {size.open_ms:g} ms more for each task;"
        f" {size.workers} workers of {size.places} places"
    )


def _config(size: Size) -> str:
    args = {"sizes": size.sizes, "places": size.workers * size.places}
    job = {"cron": "0 0 29 2 *", "args": args}
    jobs = {
        _DEALT: {**job, "handler": "shards.dealt", "max_task_size": size.items},
        _WHOLE: {**job, "handler": "shards.whole"},
        _ITEMS: {**job, "handler": "shards.items"},
        _BOUNDED: {**job, "handler": "shards.items", "max_task_size": size.most},
    }
    tenants = {TENANT: {"group": GROUP, "jobs": jobs}}
    return msgspec.json.encode({"groups": {GROUP: {}}, "tenants": tenants}).decode()


def _go(way: str, plant: Plant) -> Result:
    """Let the job of one way run, and look on."""
    ref = f"{TENANT}/{way}"
    plant.ask("trigger", ref)
    with Redis.from_url(plant.url) as redis:

        def value(key: str, field: str) -> bytes:
            return bytes(redis.hget(key, field) or b"")

        slot = keys.slot(GROUP, ref)
        job_id = when(lambda: value(slot, "run")).decode()
        record = keys.run(GROUP, job_id)
        begun_at = when(lambda: float(value(record, "at") or 0)) / 1000
        when(lambda: value(record, "state") == b"fanned")
        planned_at, tasks = CLOCK.now_ms() / 1000, int(value(keys.fan(GROUP, job_id), "planned"))
        when(lambda: value(slot, "last") == job_id.encode())
        ended_at, outcome = CLOCK.now_ms() / 1000, value(slot, "outcome")
    assert outcome == b"succeeded", outcome
    busy, wrong = _tally(plant.folder)
    skew = max(busy) / mean(busy)
    return Result(tasks, planned_at - begun_at, ended_at - planned_at, skew, wrong)


def _tally(folder: Path) -> tuple[list[float], int]:
    """Return for how long each place was busy, and how many items are wrong; begin anew."""
    with (folder / "done").open("r+b") as done, (folder / "busy").open("r+b") as busy:
        counts, seconds = done.read(), list(memoryview(busy.read()).cast("d"))
        for file, length in ((done, len(counts)), (busy, 8 * len(seconds))):
            file.seek(0)
            file.write(bytes(length))
    return seconds, len(counts) - counts.count(1)
