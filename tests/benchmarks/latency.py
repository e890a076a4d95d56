"""Idle latency: from due to handler started, beside a Redis round trip of the same machine.

Fifty definitions, each every five seconds at its own place: ten fires a second, so that every fire
finds everybody asleep. The round trips are of a client that sleeps as long between two of them.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from redis.asyncio import Redis

from tests.benchmarks import fires, page
from tests.benchmarks.fires import CLOCK, Fleet, Window

_DEFINITIONS, _PERIOD = 50, 5


def main() -> None:
    """Measure for the seconds that the command line gives; exit 1 if an occurrence ran twice."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as folder:
        trips, window = asyncio.run(_measured(Path(folder), given.seconds))
    p50, p99 = (_quantile(trips, percent) for percent in (50, 99))
    late = [window.quantile(percent) / 100 for percent in (50, 99)]
    rows = [
        ("Redis round trip", f"{p50:.2f} ms", f"{p99:.2f} ms", f"{len(trips)}"),
        ("due to handler started", f"{late[0]:.2f} ms", f"{late[1]:.2f} ms", f"{window.runs}"),
        ("ratio", f"{late[0] / p50:.1f}", f"{late[1] / p99:.1f}", ""),
    ]
    print(f"{page.machine()}\n\n{page.table(('', 'p50', 'p99', 'times'), rows)}")
    sys.exit(bool(window.again or window.left_out))


async def _measured(folder: Path, seconds: float) -> tuple[list[float], Window]:
    with Fleet(folder, _PERIOD * 100_000) as fleet:  # the tally counts in units of 10 us
        config = folder / "rota.yaml"
        job = {"handler": "precise", "every": f"{_PERIOD}s"}
        fires.write_config(config, _DEFINITIONS, job)
        fleet.worker()
        fleet.sched(config)
        await asyncio.sleep(_PERIOD + 1)
        trips, window = await asyncio.gather(
            _trips(fleet.server.port, seconds), asyncio.to_thread(fleet.window, seconds)
        )
        return trips, window


async def _trips(port: int, seconds: float) -> list[float]:
    redis, found = Redis(port=port), []
    until = CLOCK.monotonic() + seconds
    await redis.ping()
    while CLOCK.monotonic() < until:
        await asyncio.sleep(_PERIOD / _DEFINITIONS)
        sent = CLOCK.monotonic()
        await redis.ping()
        found.append((CLOCK.monotonic() - sent) * 1000)
    await redis.aclose()
    return found


def _quantile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]
