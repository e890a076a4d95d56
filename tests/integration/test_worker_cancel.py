"""A worker ends what somebody cancels, in whatever way its handlers run."""

import asyncio
import threading
from pathlib import Path

import pytest

from rota.common.clock import SystemClock
from rota.common.intervention import Intervention
from rota.common.message import Completion
from rota.common.store import Store
from rota.worker import Context, Jobs
from tests.support import builders, child_app, probe, workers
from tests.support.builders import GROUP, HANDLER
from tests.support.logbook import Logbook

SUPPORT = Path(__file__).parent.parent / "support"
SOON = 1.5  # seconds


async def cancel(store: Store, job_id: str) -> str:
    """Cancel a run; return the word."""
    return (await Intervention(store).cancel([(GROUP, job_id)]))[job_id]


async def ended(store: Store, job_id: str) -> tuple[Completion, float]:
    """Cancel a run; return its completion and how long that took, in seconds."""
    clock = SystemClock()
    since = clock.monotonic()

    assert "cancelling" == await cancel(store, job_id)

    (told,) = await workers.told(store, 1)
    return told, clock.monotonic() - since


@pytest.mark.parametrize("isolation", ["loop", "thread"])
async def test_cancel(url: str, store: Store, isolation: str) -> None:
    """A handler on the loop or in a thread that heeds its cancellation ends soon, as cancelled."""
    jobs, began = Jobs(), threading.Event()

    @jobs.handler("loop")
    async def on_loop(ctx: Context) -> None:
        began.set()
        await asyncio.Event().wait()

    @jobs.handler("thread")
    def in_thread(ctx: Context) -> None:
        began.set()
        while True:
            ctx.check_cancelled()
            threading.Event().wait(0.01)

    run = workers.run_of(handler=isolation)
    await builders.enqueue(store, run)
    async with workers.working(url, jobs):
        await probe.until(began.is_set)
        told, took = await ended(store, run.job_id)

    assert ("cancelled", "Cancelled") == (told.outcome, told.error and told.error.kind)
    assert took < SOON


async def test_cancel_process(
    url: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler in a child process is asked to end, cleans up, and ends soon, as cancelled."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    told_at, cleaned = tmp_path / "told", tmp_path / "cleaned"
    run = workers.run_of(handler="wait", args={"told": str(told_at), "cleaned": str(cleaned)})
    await builders.enqueue(store, run)
    async with workers.working(url, child_app.jobs):
        await probe.until(told_at.exists)
        told, took = await ended(store, run.job_id)

    assert "cancelled" == told.outcome
    assert "1" == cleaned.read_text()
    assert took < SOON


async def test_resisting_process(
    url: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child process that does not end is killed when `kill_after` is over, and not before."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    told_at = tmp_path / "told"
    run = workers.run_of(handler="resist", args={"told": str(told_at)}, kill_after_ms=700)
    await builders.enqueue(store, run)
    async with workers.working(url, child_app.jobs):
        await probe.until(told_at.exists)
        told, took = await ended(store, run.job_id)

    assert "cancelled" == told.outcome
    assert 0.7 <= took


@pytest.mark.parametrize("isolation", ["loop", "thread"])
async def test_handler_that_goes_on(url: str, store: Store, isolation: str) -> None:
    """A handler that returns normally in spite of its cancellation has succeeded."""
    jobs, began = Jobs(), threading.Event()

    @jobs.handler("loop")
    async def on_loop(ctx: Context) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    @jobs.handler("thread")
    def in_thread(ctx: Context) -> None:
        began.set()
        while not ctx.cancelled:
            threading.Event().wait(0.01)

    run = workers.run_of(handler=isolation)
    await builders.enqueue(store, run)
    async with workers.working(url, jobs):
        await probe.until(began.is_set)
        told, _ = await ended(store, run.job_id)

    assert "succeeded" == told.outcome


async def test_stuck_handler(url: str, store: Store) -> None:
    """A handler that swallows its cancellation is said to be stuck, and keeps its run."""
    jobs, began, release = Jobs(), asyncio.Event(), asyncio.Event()
    logbook = Logbook()

    @jobs.handler(HANDLER)
    async def swallow(ctx: Context) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await release.wait()

    run = workers.run_of(timeout_ms=50, kill_after_ms=50)
    await builders.enqueue(store, run)
    async with workers.working(url, jobs, log=logbook.log):
        await probe.until(lambda: logbook.events("run_stuck"))
        told = await workers.completions(store)
        release.set()
        await workers.told(store, 1)

    assert [] == told


async def test_lost_token(url: str, store: Store) -> None:
    """A cancellation whose token got lost is heard with the next renewal."""
    jobs, began = Jobs(), asyncio.Event()

    @jobs.handler(HANDLER)
    async def wait(ctx: Context) -> None:
        began.set()
        await asyncio.Event().wait()

    run = workers.run_of()
    await builders.enqueue(store, run)
    async with workers.working(url, jobs, lease_ms=2_000):
        await began.wait()
        await store.link.command("HSET", f"rota:{{{GROUP}}}:j:{run.job_id}", "cancel", 1)
        (told,) = await workers.told(store, 1)

    assert "cancelled" == told.outcome
