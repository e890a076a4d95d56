"""Scale out: no-op jobs of two workers beside one; and round trips for each job under load."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import page, race
from tests.benchmarks.contenders import ROTA, WIDE
from tests.benchmarks.race import Result


def main() -> None:
    """Race one worker and two, in interleaved rounds; exit 1 if a job was lost or ran twice."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=30_000)
    given = parser.parse_args()
    results: dict[tuple[str, int], list[Result]] = {}
    for _ in range(given.rounds):
        for contender in (ROTA, WIDE):
            for workers in (1, 2):
                with tempfile.TemporaryDirectory(prefix="rota-bench-") as folder:
                    result = race.run(contender, given.jobs, Path(folder), workers=workers)
                results.setdefault((contender.name, workers), []).append(result)
                told = f"{contender.name}, {workers} workers: {result.rate:,.0f} jobs/s"
                print(told, file=sys.stderr, flush=True)
    rows = [_row(name, workers, found) for (name, workers), found in results.items()]
    head = ("", "workers", "jobs/s", "worker us/job", "Redis us/job", "round trips/job")
    print(f"{page.machine()}\n\n{page.table(head, rows)}")
    sys.exit(any(result.wrong for found in results.values() for result in found))


def _row(name: str, workers: int, found: list[Result]) -> tuple[str, ...]:
    columns = [
        ([result.rate for result in found], 0),
        ([result.worker_us for result in found], 0),
        ([result.store_us for result in found], 0),
        ([result.trips for result in found], 3),
    ]
    return (name, str(workers), *(page.spread(values, places) for values, places in columns))
