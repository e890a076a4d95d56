"""Calls: one after the other, beside Redis round trips; very many at once; by callers that die.

The caller is this process, the worker another one. Behind each call comes a round trip of the same
client on the same connection, so that both see the same machine. Last, callers in processes of
their own make very many calls under keys and are killed in the midst, until one comes to the end.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rota.client import Client
from tests.benchmarks import page
from tests.benchmarks.fires import CLOCK, Fleet

_WARM = 200  # calls that are not counted
GROUP = "bench"
Pair = tuple[float, float]  # ms of a call, and of a round trip


def main() -> None:
    """Measure as many calls as the command line gives; exit 1 if a reply was wrong."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=int, default=1_000, help="calls of a round")
    parser.add_argument("--many", type=int, default=10_000, help="calls at once")
    parser.add_argument("--kills", type=int, default=5, help="callers that are killed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as folder, Fleet(Path(folder)) as fleet:
        words = ("--app", "on_calls", "--groups", GROUP, "--concurrency", "64")
        command = (sys.executable, "-m", "rota.worker", "run", *words)
        fleet.start("worker", *command, until="worker_started")
        print(f"{page.machine()}\n")
        right = asyncio.run(_measure(fleet.server.url, given.rounds, given.idle, given.many))
        right &= _kill(fleet, given.kills, given.many)
        sys.exit(0 if right else 1)


async def _measure(url: str, rounds: int, idle: int, many: int) -> bool:
    async with Client(url, group=GROUP) as client:
        await _pairs(client, _WARM)
        found = [await _pairs(client, idle) for _ in range(rounds)]
        _tell(found)
        seconds = []
        for _ in range(rounds):
            began = CLOCK.monotonic()
            calls = (client.call("echo", tenant="acme", number=n, timeout=120) for n in range(many))
            if list(range(many)) != await asyncio.gather(*calls):
                return False
            seconds.append(CLOCK.monotonic() - began)
    rates = page.spread([many / each for each in seconds])
    print(f"\n{many:,} calls at once: {page.spread(seconds, 2)} s, {rates} a second")
    return True


def _tell(found: Sequence[Sequence[Pair]]) -> None:
    """Print the median of the rounds, and of their ratios."""
    rows = []
    for name, which in (("Redis PING", 1), ("call", 0)):
        quantiles = [[_quantile(pairs, which, q) for pairs in found] for q in (50, 99)]
        rows.append((name, *(f"{median(each):.2f} ms" for each in quantiles)))
    ratios = [
        [_quantile(pairs, 0, q) / _quantile(pairs, 1, q) for pairs in found] for q in (50, 99)
    ]
    rows.append(("ratio", *(page.spread(each, 1) for each in ratios)))
    print(page.table(("", "p50", "p99"), rows))


async def _pairs(client: Client, count: int) -> list[Pair]:
    """Return for each call, and the round trip behind it, how many ms they took."""
    found = []
    for number in range(count):
        asked = CLOCK.monotonic()
        await client.call("echo", tenant="acme", number=number)
        replied = CLOCK.monotonic()
        await client.ping()
        found.append(((replied - asked) * 1000, (CLOCK.monotonic() - replied) * 1000))
    return found


def _quantile(pairs: Sequence[Pair], which: int, percent: int) -> float:
    values = sorted(pair[which] for pair in pairs)
    return values[min(len(values) - 1, len(values) * percent // 100)]


def _kill(fleet: Fleet, kills: int, many: int) -> bool:
    """Kill callers, let one come to its end; tell whether it got all replies, each made once."""
    command = (sys.executable, "-m", "caller", str(many))
    for number in range(kills):
        name = f"victim-{number}"
        fleet.start(name, *command, until=f"replies={(number + 1) * many // (2 * kills)}")
        os.kill(fleet.pids[name], signal.SIGKILL)
        fleet.stop(name)
    fleet.start("last", *command, until=f"replies={many}")

    async def made() -> list[int]:
        async with Client(fleet.server.url, group=GROUP) as client:
            return list(await client.call("made", tenant="acme"))

    different, all_made = asyncio.run(made())
    print(
        f"\n{many:,} calls under keys, {kills} callers killed in their midst: the last one has "
        f"{many:,} replies, all right; {different:,} calls were made, {all_made:,} times in all"
    )
    return different == all_made == many
