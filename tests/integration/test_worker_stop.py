"""A worker that is told to stop: what has begun ends well, the rest is for others."""

import asyncio
import threading
from typing import Any

import pytest

from rota.common.catalog import Catalog
from rota.common.state import State
from rota.common.store import Store
from rota.worker import Context, Jobs, daemon
from tests.support import builders, probe, waits, workers
from tests.support.builders import GROUP, HANDLER
from tests.support.gate import Gate
from tests.support.logbook import Logbook


async def test_stop_finishes(url: str, store: Store) -> None:
    """A worker that is told to stop finishes what it has begun, and begins nothing more."""
    gate, runs = Gate(), workers.runs_of(2)
    await builders.enqueue(store, runs[0])
    async with workers.working(url, gate.jobs) as worker:
        await gate.begins()
        stopping = asyncio.create_task(worker.stop())
        await probe.until(lambda: worker._courier.draining)
        await builders.enqueue(store, runs[1])
        gate.open.set()
        await stopping
        await worker.stop()

    assert ["succeeded"] == [each.outcome for each in await workers.completions(store)]
    assert State.QUEUED is await builders.state_of(store, runs[1].job_id)
    assert 1 == len(gate.begun)


async def test_stop_gives_back(url: str, store: Store) -> None:
    """What does not finish in time is given back, its attempt uncounted, and runs elsewhere."""
    gate, next_gate, book = Gate(), Gate(), Logbook()
    await builders.enqueue(store, workers.run_of())
    async with workers.working(url, gate.jobs, grace=0.05, log=book.log) as worker:
        await gate.begins()
        await worker.stop()
        async with workers.working(url, next_gate.jobs):
            await next_gate.begins(within=workers.PROMPTLY)
            next_gate.open.set()
            (told,) = await workers.told(store, 1)

    assert 1 == len(gate.cancelled_ms)
    assert ("succeeded", 1) == (told.outcome, told.attempt)
    stopped = book.events("worker_stopped")[0]
    assert 1 == stopped["released"]
    assert "cancelled" not in stopped


async def test_stop_writes_nothing_late(url: str, store: Store) -> None:
    """A result that comes after the grace time is not written: the run is for somebody else."""
    begun, jobs = asyncio.Event(), Jobs()

    @jobs.handler(HANDLER)
    async def swallow(ctx: Context) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late"
        return "never"

    run = workers.run_of()
    await builders.enqueue(store, run)
    async with workers.working(url, jobs, grace=0.0):
        await begun.wait()

    assert State.QUEUED is await builders.state_of(store, run.job_id)
    assert [] == await workers.completions(store)


async def test_stop_waits_for_threads(url: str, store: Store) -> None:
    """A thread that heeds its cancellation has ended before its run is given back: no overlap."""
    told, tidy, gate, jobs = threading.Event(), threading.Event(), Gate(), Jobs()
    begun_elsewhere: list[int] = []

    @jobs.handler(HANDLER)
    def careful(ctx: Context) -> None:
        waits.until(lambda: ctx.cancelled)
        told.set()
        tidy.wait(10)
        begun_elsewhere.append(len(gate.begun))

    run = workers.run_of()
    await builders.enqueue(store, run)
    async with workers.working(url, jobs, grace=0.0) as worker:
        await workers.leased(store, run)
        async with workers.working(url, gate.jobs):
            stopping = asyncio.create_task(worker.stop())
            await probe.until(told.is_set)
            for _ in range(20):
                await store.ping()  # time enough for the other worker to take it too early
            tidy.set()
            await stopping
            await gate.begins(within=workers.PROMPTLY)
            gate.open.set()

    assert [0] == begun_elsewhere


async def test_stop_with_a_thread_that_does_not_heed(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that does not heed its cancellation does not keep the worker from stopping.

    As it works on until the process ends, its run rests for a second; no attempt is counted.
    """
    monkeypatch.setattr(daemon, "_LAST_WORDS", 0.05)
    begun, release = threading.Event(), threading.Event()
    jobs = Jobs()

    @jobs.handler(HANDLER)
    def deaf(ctx: Context) -> None:
        begun.set()
        release.wait(10)

    run = workers.run_of()
    await builders.enqueue(store, run)
    try:
        async with workers.working(url, jobs, grace=0.05):
            await probe.until(begun.is_set)

        await store.sweep(GROUP)
        early = await builders.state_of(store, run.job_id)
        await builders.shift(store, 1_000)
        await store.sweep(GROUP)
        await builders.register(store)
        again = (await builders.claim(store)).runs

        assert State.RETRYING is early
        assert [(run.job_id, 1)] == [(each.job_id, each.attempt) for each in again]
    finally:
        release.set()


async def test_stop_during_a_claim(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was being claimed when the stop came is run: it is not left to its lease."""
    exchange = Store.exchange
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(self: Store, *args: Any, **options: Any) -> Any:
        reply = await exchange(self, *args, **options)
        asked.set()
        await answer.wait()
        return reply

    gate, run = Gate(), workers.run_of()
    gate.open.set()
    await builders.enqueue(store, run)
    monkeypatch.setattr(Store, "exchange", slow)
    async with workers.working(url, gate.jobs) as worker:
        await asked.wait()
        stopping = asyncio.create_task(worker.stop())
        await probe.until(lambda: worker._courier.draining)
        answer.set()
        await stopping

    assert ["succeeded"] == [each.outcome for each in await workers.completions(store)]


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 10, 20, 40, 80])
async def test_stops_at_any_moment(url: str, store: Store, steps: int) -> None:
    """Whenever it is stopped, each run is done or queued, and no worker is listed or listens."""
    gate, runs = Gate(), workers.runs_of(5)
    gate.open.set()
    await builders.enqueue(store, *runs)
    async with workers.working(url, gate.jobs, concurrency=2):
        for _ in range(steps):
            await asyncio.sleep(0)
    await workers.idle(store, 0)
    states = [await builders.state_of(store, run.job_id) for run in runs]

    assert {None, State.QUEUED} >= set(states)
    assert [] == await Catalog(store.link).workers(GROUP)
    assert "renewer" not in [thread.name for thread in threading.enumerate()]
