"""Growth: what a claim costs the store, by tenants that have queued runs, and by queued runs."""

import argparse
import asyncio
import sys
from statistics import median

from rota.common.embedded import EmbeddedStore
from rota.common.link import Link
from rota.common.store import Store
from tests.benchmarks import page
from tests.support import builders

_TENANTS = (10, 50, 100, 200, 1_000, 10_000)
_QUEUED = (1, 100, 10_000, 100_000)
_ROUNDS = 3
_CLAIMS = 200  # that are timed
_BATCH = 16


def main() -> None:
    """Measure; `--million` adds a million queued runs, which takes minutes and 1 GB."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--million", action="store_true")
    given = parser.parse_args()
    queued = (*_QUEUED, 1_000_000) if given.million else _QUEUED
    rows = asyncio.run(_rows(queued))
    head = ("tenants", "queued", "us/claim of one", f"us/run in claims of {_BATCH}")
    print(f"{page.machine()}\n\n{page.table(head, rows)}")


async def _rows(queued: tuple[int, ...]) -> list[tuple[str, ...]]:
    cases = [(tenants, 20_000) for tenants in _TENANTS] + [(1, count) for count in queued]
    rows: list[tuple[str, ...]] = []
    with EmbeddedStore() as server:
        link = Link(server.url)
        for tenants, count in cases:
            print(f"{tenants:,} tenants, {count:,} queued ...", file=sys.stderr, flush=True)
            store = Store(link)  # one that knows no epoch: else it would see that we empty it
            await _fill(store, tenants, count)
            one = [await _cost(store, min(count, _CLAIMS), 1) for _ in range(_ROUNDS)]
            many = [await _cost(store, min(count // _BATCH, 50), _BATCH) for _ in range(_ROUNDS)]
            each = page.spread(many, 1) if count >= _BATCH else "-"
            rows.append((f"{tenants:,}", f"{count:,}", page.spread(one, 1), each))
        await link.close()
    return rows


async def _fill(store: Store, tenants: int, count: int) -> None:
    await store.link.command("FLUSHALL")
    await builders.register(store)
    for start in range(0, count, 500):
        numbers = range(start, min(start + 500, count))
        await builders.enqueue(
            store, *(builders.occurrence(f"t{n % tenants}", f"job-{n}") for n in numbers)
        )


async def _cost(store: Store, claims: int, size: int) -> float:
    """Return microseconds of the store's script for each run; the runs go back afterwards."""
    spent: list[float] = []
    for _ in range(claims):
        await store.link.command("CONFIG", "RESETSTAT")
        given = await builders.claim(store, n=size)
        stats = await store.link.command("INFO", "commandstats")
        assert size == len(given.runs)
        spent.append(stats["cmdstat_evalsha"]["usec"] / size)
        await store.release(given.runs)
    return median(spent) if spent else 0.0
