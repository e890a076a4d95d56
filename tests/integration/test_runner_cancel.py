"""The runner ends attempts: their time is over, or their lease is lost."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rota.common.run import Ended, Resting
from rota.worker import Context
from tests.support import child_app, probe, waits, workers
from tests.support.bench import bench, error, serving

SUPPORT = Path(__file__).parent.parent / "support"
SHORT_MS = 50  # a timeout that is over soon


@contextmanager
def opened(*gates: threading.Event) -> Iterator[None]:
    """Open gates at the end, so that no thread waits for ever if the test fails."""
    try:
        yield
    finally:
        for gate in gates:
            gate.set()


async def test_async_timeout() -> None:
    """An async handler is cancelled when its time is over, and the report calls it a timeout."""
    cancelled: list[bool] = []

    async def handler(ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async with bench(serving(handler)) as table:
        report = await table.report(workers.request(timeout_ms=SHORT_MS))

    assert [True] == cancelled
    assert isinstance(report, Resting)
    assert ("Timeout", "ran longer than its timeout of 0.05 s") == (
        error(report).kind,
        error(report).message,
    )


@pytest.mark.parametrize("thread", [False, True])
async def test_own_timeout_error(thread: bool) -> None:
    """A `TimeoutError` that the handler raises itself is its own failure, not the job's timeout."""

    def sync(ctx: Context) -> None:
        raise TimeoutError("the shop did not answer")

    async def on_loop(ctx: Context) -> None:
        raise TimeoutError("the shop did not answer")

    async with bench(serving(sync if thread else on_loop)) as table:
        report = await table.report(workers.request())

    assert ("TimeoutError", "the shop did not answer") == (
        error(report).kind,
        error(report).message,
    )


async def test_something_cancelled_inside() -> None:
    """A handler whose own task was cancelled failed; the run is not taken for a cancelled one."""

    async def handler(ctx: Context) -> None:
        task = asyncio.create_task(asyncio.Event().wait())
        task.cancel()
        await task

    async with bench(serving(handler)) as table:
        report = await table.report(workers.request())

    assert "RuntimeError" == error(report).kind


@pytest.mark.parametrize("wakes", [True, False])
async def test_thread_timeout(wakes: bool) -> None:
    """A handler in a thread is told when its time is over, and waited for: no attempt overlaps."""
    told, release = threading.Event(), threading.Event()

    def handler(ctx: Context) -> str:
        waits.until(lambda: ctx.cancelled)
        told.set()
        release.wait(10)
        if wakes:
            ctx.check_cancelled()
        return "too late"

    with opened(release):
        async with bench(serving(handler)) as table:
            held = table.begin(workers.request(timeout_ms=SHORT_MS))
            await probe.until(told.is_set)
            early = list(table.reports)
            release.set()
            assert held.task is not None
            await held.task

    assert [] == early
    assert "Timeout" == error(table.reports[0]).kind
    assert 1 == len(table.logbook.events("run_overdue"))


async def test_process_timeout(tmp_path: Path, app_path: None) -> None:
    """A handler in a child process is dead before its timeout is reported."""
    told = tmp_path / "told"
    args = {"told": str(told)}
    async with bench(child_app.jobs) as table:
        await table.report(workers.request(handler="nothing"))  # the child has started
        report = await table.report(workers.request(handler="resist", args=args, timeout_ms=300))

    assert "Timeout" == error(report).kind
    assert not Path(f"/proc/{told.read_text()}").exists()


async def test_lost_run_writes_nothing() -> None:
    """A run whose lease is lost is cancelled, and nothing is written for it."""
    begun = asyncio.Event()

    async def handler(ctx: Context) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "swallowed the cancellation"
        return "never"

    async with bench(serving(handler)) as table:
        held = table.begin(workers.request())
        await begun.wait()
        table.runner.lose(held)
        table.runner.lose(held)
        assert held.task is not None
        await held.task

    assert [None] == table.reports
    assert 1 == len(table.logbook.events("lease_lost"))


@pytest.mark.parametrize("fails", [True, False])
async def test_lost_thread_keeps_its_place(fails: bool) -> None:
    """A thread whose run is lost is told; its place is free only when it has returned."""
    begun, release = threading.Event(), threading.Event()

    def handler(ctx: Context) -> None:
        begun.set()
        waits.until(lambda: ctx.cancelled)
        release.wait(10)
        if fails:
            ctx.check_cancelled()

    with opened(release):
        async with bench(serving(handler)) as table:
            held = table.begin(workers.request())
            await probe.until(begun.is_set)
            table.runner.lose(held)
            for _ in range(10):
                await asyncio.sleep(0)
            early = list(table.reports)
            release.set()
            assert held.task is not None
            await asyncio.wait([held.task])

    assert [] == early
    assert [None] == table.reports


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize("word", ["lost", "released", "cancelled"])
async def test_counts(word: str, heeds: bool) -> None:
    """An attempt counts as what became of it, whatever its handler does when it is told to end."""
    begun = asyncio.Event()

    async def handler(ctx: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if heeds:
                raise
            raise OSError from None

    async with bench(serving(handler)) as table:
        held = table.begin(workers.request())
        await begun.wait()
        assert held.task is not None
        if word == "lost":
            table.runner.lose(held)
        elif word == "cancelled":
            table.runner.cancel(held)
        else:
            held.given_back = True
            held.task.cancel()
        await asyncio.wait([held.task])

    assert {word: 1} == table.runner.counts


async def test_lost_after_the_end() -> None:
    """A run that has just ended can't be lost any more."""

    async def handler(ctx: Context) -> None:
        """Do nothing."""

    async with bench(serving(handler)) as table:
        held = table.begin(workers.request())
        await table.ended()
        table.runner.lose(held)

    assert not held.lost
    assert isinstance(table.reports[0], Ended)


@pytest.fixture
def app_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let children find the module `child_app`."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
