"""Units of work and progress, with a worker and a store: what is committed is not done again."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rota.common import keys, progress
from rota.common.ledger import Attempts, Ledger
from rota.common.progress import Mark, Tally
from rota.common.run import Claimed, Occurrence
from rota.common.store import Store
from rota.worker import Context, Jobs
from tests.support import builders, child_app, probe, workers
from tests.support.builders import GROUP, HANDLER
from tests.support.logbook import Logbook

SUPPORT = Path(__file__).parent.parent / "support"
REF = "acme/import"


async def ledger(store: Store) -> Attempts:
    """Return the newest entry of the job."""
    entry = (await Ledger(store.link).of(GROUP, REF, 0))[0]
    assert isinstance(entry, Attempts)
    return entry


async def record(store: Store, run: Occurrence) -> tuple[Mark | None, list[Tally]]:
    """Return what the run's record says of its progress and its units."""
    key = keys.run(GROUP, run.job_id)
    row = await store.link.command("HMGET", key, "progress", "units")
    return progress.mark(row[0] or b""), progress.tallies(row[1] or b"")


class Shop:
    """Jobs whose handler commits orders; it may fail, or wait, within a unit."""

    def __init__(self, isolation: str, count: int = 50) -> None:
        self.jobs = Jobs()
        self.count = count
        self.committed: list[int] = []
        self.fail: set[int] = set()  # orders that fail in the first attempt
        self.at = -1  # the order at which the handler waits
        self.waits = threading.Event()
        self.go_on = threading.Event()
        self.jobs.handler(HANDLER)(self._in_thread if isolation == "thread" else self._on_loop)

    async def reached(self) -> None:
        """Return when the handler waits."""
        await probe.until(self.waits.is_set)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[list[int]]:
        rows: list[int] = []
        yield rows
        self.committed += rows

    async def _on_loop(self, ctx: Context) -> dict[str, int]:
        units = ctx.units(range(self.count), 10, transaction=self._transaction, retries=0)
        async for unit in units:
            async with unit as rows:
                for order in unit:
                    rows.append(self._billed(ctx, order))
                    while order == self.at and not self.go_on.is_set():
                        self.waits.set()
                        await asyncio.sleep(0.005)
        return {"billed": units.tally.items}

    def _in_thread(self, ctx: Context) -> dict[str, int]:
        units = ctx.units(range(self.count), 10, retries=0)
        for unit in units:
            with unit:
                rows = []
                for order in unit:
                    rows.append(self._billed(ctx, order))
                    while order == self.at and not self.go_on.wait(0.005):
                        self.waits.set()
                        ctx.check_cancelled()
                self.committed += rows
        return {"billed": units.tally.items}

    def _billed(self, ctx: Context, order: int) -> int:
        if order in self.fail and ctx.attempt == 1:
            raise OSError(f"order {order}")
        return order


BY_ISOLATION = pytest.mark.parametrize("isolation", ["loop", "thread"])


@BY_ISOLATION
async def test_summed_up(url: str, store: Store, isolation: str) -> None:
    """A run that is over is summed up in one entry of the ledger, and its result is its own."""
    shop, run = Shop(isolation), workers.run_of(keep_ms=60_000)
    await builders.enqueue(store, run)
    async with workers.working(url, shop.jobs):
        (told,) = await workers.told(store, 1)
    (total,) = (await ledger(store)).units
    mark, (tally,) = await record(store, run)
    result = await store.link.command("HGET", keys.run(GROUP, run.job_id), "result")

    assert "succeeded" == told.outcome
    assert list(range(50)) == shop.committed
    assert ("", 50, 0, 5, 0) == msgspec.structs.astuple(total)[:5]
    assert (50, 50) == (tally.position, tally.total)
    assert mark is not None
    assert (50, 50, 1) == (mark.done, mark.total, mark.attempt)
    assert {"billed": 50} == msgspec.msgpack.decode(result)


@BY_ISOLATION
async def test_retried(url: str, store: Store, isolation: str) -> None:
    """A failed attempt is followed by one that goes on behind all that was committed."""
    shop = Shop(isolation)
    shop.fail = {34}
    await builders.enqueue(store, workers.run_of())
    async with workers.working(url, shop.jobs):
        (failed,) = await workers.told(store, 1)
        before = list(shop.committed)
        await builders.shift(store, builders.HOUR_MS)
        await store.sweep(GROUP)
        await workers.told(store, 2)
    (total,) = (await ledger(store)).units

    assert failed.error is not None
    assert "in the unit of items 34 to 34" in failed.error.traceback
    assert list(range(34)) == before
    assert list(range(50)) == shop.committed
    assert (50, 5) == (total.items, total.failed)  # ten, five, three, two, one


@BY_ISOLATION
async def test_given_back(url: str, store: Store, isolation: str) -> None:
    """A worker that stops gives a long run back between units; another goes on, uncounted."""
    shop, other = Shop(isolation), Shop(isolation)
    shop.at = 25
    await builders.enqueue(store, workers.run_of())
    async with workers.working(url, shop.jobs, grace=0.05):
        await shop.reached()
    async with workers.working(url, other.jobs):
        await builders.shift(store, 1_500)  # a thread's run rests until its worker is gone
        await store.sweep(GROUP)
        (told,) = await workers.told(store, 1)

    assert ("succeeded", 1) == (told.outcome, told.attempt)
    assert list(range(20)) == shop.committed
    assert list(range(20, 50)) == other.committed
    assert 50 == (await ledger(store)).units[0].items


@BY_ISOLATION
async def test_outage(url: str, store: Store, isolation: str) -> None:
    """While the store is away a handler waits behind a unit, then goes on: nothing twice."""
    shop = Shop(isolation)
    shop.at = 25
    await builders.enqueue(store, workers.run_of())
    async with workers.proxied(url) as (proxy, _), workers.working(proxy.url, shop.jobs):
        await shop.reached()
        await proxy.cut()
        shop.go_on.set()
        await probe.until(lambda: len(shop.committed) == 30)
        await asyncio.sleep(0.3)
        meanwhile = len(shop.committed)
        await proxy.mend()
        (told,) = await workers.told(store, 1)

    assert 30 == meanwhile
    assert ("succeeded", list(range(50))) == (told.outcome, shop.committed)


async def test_store_forgets(url: str, store: Store) -> None:
    """When the store loses all, a run is adopted and goes on; its checkpoint is written anew."""
    shop, book, run = Shop("loop"), Logbook(), workers.run_of(keep_ms=60_000)
    shop.at = 25
    await builders.enqueue(store, run)
    async with workers.working(url, shop.jobs, lease_ms=900, gate_ms=500, log=book.log):
        await shop.reached()
        await store.link.command("FLUSHALL")
        shop.go_on.set()
        (told,) = await workers.told(store, 1)

    assert ("succeeded", list(range(50))) == (told.outcome, shop.committed)
    assert 50 == (await ledger(store)).units[0].items


async def test_lost_run(url: str, store: Store) -> None:
    """A worker that has lost its run ends it behind the unit under way, and writes nothing."""
    shop, run = Shop("loop"), workers.run_of()
    shop.at = 25
    await builders.enqueue(store, run)
    async with workers.working(url, shop.jobs, grace=0.05):
        await shop.reached()
        await builders.register(store, "w2")

        async def rescued() -> list[Claimed]:  # unless it is renewed just before the sweep
            await builders.shift(store, builders.HOUR_MS)
            await store.sweep(GROUP)
            return (await builders.claim(store, worker="w2")).runs

        (taken,) = await probe.found(rescued)
        shop.go_on.set()
        await probe.until(lambda: len(shop.committed) == 30)
        await asyncio.sleep(0.1)
        _, (tally,) = await record(store, run)

    assert 2 == taken.attempt
    assert 30 == len(shop.committed)
    assert 20 == tally.position


@pytest.mark.parametrize("handler", ["units", "units-async"])
async def test_in_a_child(
    url: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handler: str
) -> None:
    """A handler in a child process has the same, through the pipe to its worker."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT), prepend=os.pathsep)
    args: dict[str, Any] = {"told": str(tmp_path / "told"), "count": 95}
    if handler == "units":
        args["fail"] = 42
    run = workers.run_of(handler=handler, keep_ms=60_000, args=args)
    await builders.enqueue(store, run)
    async with workers.working(url, child_app.jobs):
        if "fail" in args:
            await workers.told(store, 1)
            _, (halfway,) = await record(store, run)
            assert (40, 1) == (halfway.position, halfway.failed)
            await builders.shift(store, builders.HOUR_MS)
            await store.sweep(GROUP)
        await workers.told(store, 1 + ("fail" in args))
    mark, (tally,) = await record(store, run)

    assert list(range(95)) == [int(line) for line in (tmp_path / "told").read_text().split()]
    assert (95, 10) == (tally.items, tally.units)
    assert mark is not None
    assert (95, 95) == (mark.done, mark.total)


@BY_ISOLATION
async def test_few_writes(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    """A handler that tells its progress 50,000 times makes at most 21 writes; the last is kept."""
    trips, jobs = workers.Trips(monkeypatch), Jobs()

    async def on_loop(ctx: Context) -> None:
        for done in range(1, 50_001):
            ctx.progress(done, 50_000)
            if not done % 1_000:
                await asyncio.sleep(0.002)

    def in_thread(ctx: Context) -> None:
        for done in range(1, 50_001):
            ctx.progress(done, 50_000)

    jobs.handler(HANDLER)(on_loop if isolation == "loop" else in_thread)
    run = workers.run_of(keep_ms=60_000)
    await builders.enqueue(store, run)
    async with workers.working(url, jobs):
        await workers.told(store, 1)
    mark, _ = await record(store, run)
    writes = sum("progress" in trip for trip in trips.taken)

    assert 1 <= writes <= 21
    assert mark is not None
    assert (50_000, 50_000) == (mark.done, mark.total)


async def test_last_word_of_a_failure(url: str, store: Store) -> None:
    """What a failed attempt told last is in the record, before its end is."""
    jobs, run = Jobs(), workers.run_of()

    @jobs.handler(HANDLER)
    async def fail(ctx: Context) -> None:
        ctx.progress(1, 1_000)
        ctx.progress(7, 1_000)
        raise OSError("no")

    await builders.enqueue(store, run)
    async with workers.working(url, jobs):
        await workers.told(store, 1)
        mark, _ = await record(store, run)

    assert mark is not None
    assert (7, 1_000) == (mark.done, mark.total)
