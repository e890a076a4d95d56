"""A worker whose store is away, forgets, or no longer counts on it: it goes on by itself."""

import asyncio
import threading

import pytest

from rota.common.catalog import Catalog
from rota.common.embedded import free_port
from rota.common.errors import StoreUnavailable
from rota.common.link import Link
from rota.common.store import Store
from rota.worker import Context, Jobs, daemon
from tests.support import builders, probe, waits, workers
from tests.support.builders import GROUP, HANDLER
from tests.support.gate import Gate
from tests.support.logbook import Logbook
from tests.support.proxy import Proxy


async def test_overdue_thread_keeps_its_lease(url: str, store: Store) -> None:
    """A thread that works on after its timeout keeps its lease until it returns; no overlap."""
    lease_ms = 900
    told, release = threading.Event(), threading.Event()
    jobs = Jobs()

    @jobs.handler(HANDLER)
    def stubborn(ctx: Context) -> None:
        waits.until(lambda: ctx.cancelled)
        told.set()
        release.wait(10)

    run = workers.run_of(timeout_ms=20)
    await builders.enqueue(store, run)
    with workers.sweeping(url) as rescued:
        async with workers.working(url, jobs, lease_ms=lease_ms):
            first = await workers.leased(store, run)
            await probe.until(told.is_set)

            async def renewed() -> bool:
                return await workers.lease_end(store, run) > first + lease_ms

            try:
                await probe.found(renewed)
                early = await workers.completions(store)
            finally:
                release.set()
            (late,) = await workers.told(store, 1)

    assert [] == rescued
    assert [] == early
    assert late.error is not None
    assert "Timeout" == late.error.kind


@pytest.mark.parametrize("half_open", [False, True])
async def test_cut_off(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch, half_open: bool
) -> None:
    """A worker that is cut off ends its handlers before their leases end, and writes nothing."""
    monkeypatch.setattr("rota.common.link.server.REPLY_TIMEOUT", 0.3)
    gate, run, logbook = Gate(), workers.run_of(), Logbook()
    await builders.enqueue(store, run)
    async with (
        Proxy(url) as proxy,
        workers.working(proxy.url, gate.jobs, lease_ms=900, log=logbook.log, grace=0.1),
    ):
        await gate.begins()
        if half_open:
            proxy.swallow()
        else:
            await proxy.cut()
        end = await workers.lease_end(store, run)
        await probe.until(lambda: bool(gate.cancelled_ms))
        await probe.until(lambda: bool(logbook.events("lease_lost")))
        written = await workers.completions(store)

    assert gate.cancelled_ms[0] < end
    assert [] == written == await workers.completions(store)


async def test_rescued_run(url: str, store: Store) -> None:
    """What a worker reports of a run that was rescued meanwhile counts for nothing."""
    gate, other, run, logbook = Gate(), Gate(), workers.run_of(), Logbook()
    await builders.enqueue(store, run)
    async with workers.working(url, gate.jobs, concurrency=1, log=logbook.log):
        await gate.begins()
        await builders.shift(store, 20_000)
        await store.sweep(GROUP)
        async with workers.working(url, other.jobs):
            await other.begins()
            gate.open.set()
            await probe.until(lambda: bool(logbook.events("completion_refused")))
            other.open.set()
            told = await workers.told(store, 2)

    assert [("retrying", 1), ("succeeded", 2)] == [(each.outcome, each.attempt) for each in told]
    assert other.begun[0].fence > gate.begun[0].fence


async def test_outage_at_times(url: str, store: Store) -> None:
    """However often the store is away, every run succeeds once, and no worker is restarted."""
    gate = Gate()
    gate.open.set()
    runs = [run for i in range(3) for run in workers.runs_of(5, f"round-{i}")]

    async def succeeded() -> list[str]:
        told = await workers.completions(store)
        return sorted(each.job_id for each in told if each.outcome == "succeeded")

    async def over() -> bool:
        return len(await succeeded()) >= len(runs)

    with workers.sweeping(url):  # a claim whose answer was lost is held by nobody
        async with (
            Proxy(url) as proxy,
            workers.working(proxy.url, gate.jobs, concurrency=3, lease_ms=900),
        ):
            for i in range(3):
                await builders.enqueue(store, *runs[5 * i : 5 * i + 5])
                await gate.begins(5 * i + 1)
                await proxy.cut()
                await proxy.mend()
            await probe.found(over)

    assert sorted(run.job_id for run in runs) == await succeeded()


@pytest.mark.parametrize("groups", [[], [GROUP]])
async def test_forgotten(url: str, store: Store, groups: list[str]) -> None:
    """A worker that the store has forgotten, with all else, goes on when the gate has closed."""
    gate = Gate()
    gate.open.set()
    await Catalog(store.link).publish(GROUP, [])
    other = Store(Link(url, gate_ms=200))
    async with workers.working(url, gate.jobs, groups=groups, gate_ms=200):
        await workers.idle(store)
        await store.link.command("FLUSHALL")
        await builders.enqueue(other, workers.run_of())
        await gate.begins(within=0.2 + workers.PROMPTLY)
    await other.link.close()


@pytest.mark.parametrize("part", ["exchange", "renew"])
async def test_failed_part(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """When a part of the worker fails for good, the worker tells, so that its process can end."""

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Store, part, broken)
    await builders.enqueue(store, workers.run_of())
    async with (
        workers.working(url, Gate().jobs, lease_ms=900, grace=0.0) as worker,
        asyncio.timeout(workers.PROMPTLY),
    ):
        await worker.failed()


async def test_no_store() -> None:
    """A worker does not start without a store."""
    worker = daemon.WorkerDaemon(
        f"redis://127.0.0.1:{free_port()}/0",
        Gate().jobs,
        daemon.WorkerOptions(app="child_app", groups=[]),
        log=Logbook().log,
    )
    with pytest.raises(StoreUnavailable):
        await worker.start()
