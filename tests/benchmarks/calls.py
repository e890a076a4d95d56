"""Calls: one after the other while all is idle, beside Redis round trips; then very many at once.

The caller is this process, the worker another one. Behind each call comes a round trip of the same
client on the same connection, so that both see the same machine.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from rota.client import Client
from tests.benchmarks import page
from tests.benchmarks.fires import CLOCK, Fleet

_WARM = 200  # calls that are not counted
_GROUP = "bench"


def main() -> None:
    """Measure as many calls as the command line gives; exit 1 if a reply was wrong."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--idle", type=int, default=2_000, help="calls one after the other")
    parser.add_argument("--many", type=int, default=10_000, help="calls at once")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as folder, Fleet(Path(folder)) as fleet:
        words = ("--app", "on_calls", "--groups", _GROUP, "--concurrency", "64")
        command = (sys.executable, "-m", "rota.worker", "run", *words)
        fleet.start("worker", *command, until="worker_started")
        sys.exit(asyncio.run(_measure(fleet.server.url, given.idle, given.many)))


async def _measure(url: str, idle: int, many: int) -> int:
    async with Client(url, group=_GROUP) as client:
        await _pairs(client, _WARM)
        pairs = await _pairs(client, idle)
        began = CLOCK.monotonic()
        calls = (client.call("echo", tenant="acme", number=n, timeout=120) for n in range(many))
        right = list(range(many)) == await asyncio.gather(*calls)
        seconds = CLOCK.monotonic() - began
    calls_ms, trips_ms = ([pair[k] for pair in pairs] for k in (0, 1))
    quantiles = [(_quantile(calls_ms, q), _quantile(trips_ms, q)) for q in (50, 99)]
    rows = [
        ("Redis PING", *(f"{trip:.2f} ms" for _, trip in quantiles), f"{idle}"),
        ("call", *(f"{call:.2f} ms" for call, _ in quantiles), f"{idle}"),
        ("ratio", *(f"{call / trip:.1f}" for call, trip in quantiles), ""),
    ]
    print(f"{page.machine()}\n\n{page.table(('', 'p50', 'p99', 'times'), rows)}\n")
    print(f"{many:,} calls at once: {seconds:.2f} s, {many / seconds:,.0f} a second")
    return 0 if right else 1


async def _pairs(client: Client, count: int) -> list[tuple[float, float]]:
    """Return for each call, and the round trip behind it, how many ms they took."""
    found = []
    for number in range(count):
        asked = CLOCK.monotonic()
        await client.call("echo", tenant="acme", number=number)
        replied = CLOCK.monotonic()
        await client.ping()
        found.append(((replied - asked) * 1000, (CLOCK.monotonic() - replied) * 1000))
    return found


def _quantile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]
