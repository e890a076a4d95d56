"""The renewer: a run keeps its lease as long as it works, and is given up before that ends."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rota.common.clock import SystemClock
from rota.common.run import Claimed, Occurrence
from rota.common.state import State
from rota.common.store import Store
from rota.worker.held import HeldRun, HeldRuns
from rota.worker.renewer import Renewer
from tests.support import builders, probe, workers
from tests.support.builders import GROUP, WORKER
from tests.support.logbook import Logbook
from tests.support.proxy import Proxy

LEASE_MS = 900
_CLOCK = SystemClock()


class Keeper:
    """A renewer, what it holds, and when it gave what up, in ms of wall time."""

    def __init__(self, url: str, lease_ms: int) -> None:
        self.logbook = Logbook()
        self.held = HeldRuns()
        self.given_up: dict[str, int] = {}
        self.reopened: list[str] = []  # groups whose store may have lost writes
        self.lease_ms = lease_ms
        self.renewer = Renewer(
            url=url,
            worker_id=WORKER,
            held=self.held,
            clock=_CLOCK,
            lose=self._lose,
            cancel=lambda held: None,
            reopened=self.reopened.append,
            log=self.logbook.log,
            lease_ms=lease_ms,
        )

    async def hold(self, store: Store, *runs: Occurrence) -> list[HeldRun]:
        """Claim runs and hold them."""
        await builders.register(store)
        await builders.enqueue(store, *runs)
        now = _CLOCK.monotonic()
        _, claims = await store.exchange(WORKER, [], [], {GROUP: len(runs)}, lease_ms=self.lease_ms)
        holds = [HeldRun(run, now, now, 0.0, now) for run in claims[GROUP].runs]
        for held in holds:
            self.held.add(held)
        return holds

    def _lose(self, held: HeldRun) -> None:
        if not held.lost:
            held.lost = True
            self.given_up[held.run.job_id] = _CLOCK.now_ms()


@asynccontextmanager
async def keeping(url: str, lease_ms: int = LEASE_MS) -> AsyncIterator[Keeper]:
    """Return a renewer that runs."""
    keeper = Keeper(url, lease_ms)
    await keeper.renewer.start()
    try:
        yield keeper
    finally:
        await keeper.renewer.stop()


async def renewed(store: Store, run: Occurrence, since: float) -> None:
    """Return when the lease of `run` ends later than `since`."""

    async def later() -> bool:
        return await workers.lease_end(store, run) > since

    await probe.found(later)


async def test_keeps_leases(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """All held runs outlive their first lease, renewed together in one round trip."""
    trips = workers.Trips(monkeypatch)
    runs = workers.runs_of(3)
    with workers.sweeping(url) as rescued:
        async with keeping(url) as keeper:
            await keeper.hold(store, *runs)
            first = await workers.lease_end(store, runs[0])
            trips.taken.clear()
            for run in runs:
                await renewed(store, run, first + 1.5 * LEASE_MS)
            renewals = trips.taken.count("batch:renew")

    assert [] == rescued
    assert {} == keeper.given_up
    assert 8 >= renewals


async def test_keeps_leases_while_the_loop_is_blocked(url: str, store: Store) -> None:
    """A handler that holds up the worker's event loop for longer than a lease keeps its run."""
    with workers.sweeping(url) as rescued:
        async with keeping(url) as keeper:
            await keeper.hold(store, workers.run_of())
            time.sleep(1.5 * LEASE_MS / 1000)  # noqa: ASYNC251 - that is the point

    assert [] == rescued
    assert {} == keeper.given_up


@pytest.mark.parametrize("half_open", [False, True])
async def test_gives_up_in_time(url: str, store: Store, half_open: bool) -> None:
    """Cut off from the store, a run is given up before its lease ends, whatever the way."""
    run = workers.run_of()
    async with Proxy(url) as proxy, keeping(proxy.url) as keeper:
        await keeper.hold(store, run)
        await renewed(store, run, await workers.lease_end(store, run))
        if half_open:
            proxy.swallow()
        else:
            await proxy.cut()
        await probe.until(lambda: run.job_id in keeper.given_up)
        end = await workers.lease_end(store, run)
        given_up = keeper.given_up[run.job_id]

    assert 0 < end - given_up < 0.7 * LEASE_MS  # in time, and not as soon as one renewal fails


async def test_short_outage(url: str, store: Store) -> None:
    """A store that is back before the lease ends costs no run."""
    run = workers.run_of()
    with workers.sweeping(url) as rescued:
        async with Proxy(url) as proxy, keeping(proxy.url, 1_500) as keeper:
            await keeper.hold(store, run)
            first = await workers.lease_end(store, run)
            await proxy.cut()
            await probe.until(lambda: bool(keeper.logbook.events("store_lost")))
            await proxy.mend()
            await renewed(store, run, first + 1_500)

    assert [] == rescued
    assert {} == keeper.given_up


async def test_rescued_run_is_given_up(url: str, store: Store) -> None:
    """A run that was taken back meanwhile is given up, and the others are not."""
    lost, kept = workers.run_of("lost"), workers.run_of("kept")
    async with keeping(url) as keeper:
        holds = await keeper.hold(store, lost, kept)
        await store.release([held.run for held in holds if held.run.job_id == lost.job_id])
        await probe.until(lambda: bool(keeper.given_up))
        await renewed(store, kept, await workers.lease_end(store, kept))

    assert [lost.job_id] == list(keeper.given_up)


async def test_dropped_run_is_forgotten(url: str, store: Store) -> None:
    """A run that is not held any more is not renewed: its lease ends."""
    run = workers.run_of()
    async with keeping(url) as keeper:
        (held,) = await keeper.hold(store, run)
        keeper.held.drop(held)
        await probe.found(lambda: _rescued(store, run))

    assert {} == keeper.given_up


async def _rescued(store: Store, run: Occurrence) -> bool:
    await store.sweep(GROUP)
    return State.QUEUED is await builders.state_of(store, run.job_id)


async def test_stop_ends_the_thread(url: str) -> None:
    """Stopping ends the thread; stopping twice, and before the start, is harmless."""
    keeper = Keeper(url, LEASE_MS)
    await keeper.renewer.stop()
    await keeper.renewer.start()
    await keeper.renewer.start()
    threads = [t.name for t in threading.enumerate()]
    await keeper.renewer.stop()
    await keeper.renewer.stop()

    assert 1 == threads.count("renewer")
    assert "renewer" not in [t.name for t in threading.enumerate()]


async def test_stop_while_cut_off(url: str, store: Store) -> None:
    """Stopping is prompt even if a renewal waits for a store that does not answer."""
    async with Proxy(url) as proxy:
        keeper = Keeper(proxy.url, LEASE_MS)
        await keeper.renewer.start()
        proxy.swallow()
        await keeper.hold(store, workers.run_of())
        await probe.until(lambda: bool(keeper.given_up))
        async with asyncio.timeout(workers.PROMPTLY):
            await keeper.renewer.stop()


async def test_failure_is_told(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewer that fails for good says so: no worker goes on without its leases."""

    async def broken(*_: object) -> list[Claimed]:
        raise ZeroDivisionError

    monkeypatch.setattr(Store, "renew", broken)
    async with keeping(url) as keeper:
        await keeper.hold(store, workers.run_of())
        async with asyncio.timeout(workers.PROMPTLY):
            await keeper.renewer.failed.wait()
