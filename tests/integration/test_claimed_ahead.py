"""Runs that a worker claims before it has a place for them: none is lost, or kept from others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rota.common.intervention import Intervention
from rota.common.state import State
from rota.common.store import Store
from rota.common.usage import Usages
from rota.worker import Context, Jobs
from rota.worker.ahead import Ahead
from rota.worker.daemon import WorkerDaemon
from tests.support import builders, probe, prometheus, workers
from tests.support.builders import GROUP, HANDLER

AHEAD = 3
WAIT_MS = 10_000


class Place:
    """Jobs for a worker with one place: a run holds it until the test lets it go."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.begun: list[str] = []
        self.free = asyncio.Event()
        self.jobs.handler(HANDLER)(self._hold)

    async def _hold(self, ctx: Context) -> None:
        self.begun.append(ctx.job)
        await self.free.wait()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker claim three runs ahead, and wait with them as long as it may take."""
    monkeypatch.setattr(Ahead, "places", lambda _: AHEAD)
    monkeypatch.setattr("rota.worker.ahead.PATIENCE", 60.0)


@asynccontextmanager
async def occupied(url: str, store: Store, place: Place) -> AsyncIterator[WorkerDaemon]:
    """Return a worker whose one place is taken, and that holds three runs more."""
    await builders.enqueue(store, *workers.runs_of(1 + AHEAD))
    async with workers.working(url, place.jobs, concurrency=1) as worker:
        await probe.until(lambda: len(worker._held) == 1 + AHEAD and place.begun)
        yield worker


async def states(store: Store) -> list[State | None]:
    """Return the states of the runs, the first one first."""
    return [await builders.state_of(store, run.job_id) for run in workers.runs_of(1 + AHEAD)]


async def test_in_order(url: str, store: Store, patient: None) -> None:
    """What was claimed ahead begins when there is a place, in order, and ends as any other."""
    place = Place()
    async with occupied(url, store, place):
        begun = list(place.begun)
        place.free.set()
        told = await workers.told(store, 1 + AHEAD)

    assert ["job-0"] == begun
    assert [f"job-{n}" for n in range(1 + AHEAD)] == place.begun
    assert {("succeeded", 1)} == {(each.outcome, each.attempt) for each in told}


async def test_too_long(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits too long for a place goes back, in order and uncounted, for a free worker."""
    monkeypatch.setattr(Ahead, "places", lambda _: AHEAD)
    place, other = Place(), Place()
    other.free.set()
    async with occupied(url, store, place):
        monkeypatch.setattr(Ahead, "places", lambda _: 0)
        async with workers.working(url, other.jobs):
            told = await workers.told(store, AHEAD, within=5.0)
        place.free.set()
        await workers.told(store, 1 + AHEAD)

    assert [f"job-{n}" for n in range(1, 1 + AHEAD)] == other.begun
    assert {("succeeded", 1)} == {(each.outcome, each.attempt) for each in told}
    assert ["job-0"] == place.begun


async def test_only_attempt(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with a single attempt does not wait where it could lose it, nor do those beside it."""
    monkeypatch.setattr("rota.worker.ahead.PATIENCE", 60.0)
    monkeypatch.setattr(Ahead, "places", lambda ahead: 0 if ahead._none_until else AHEAD)
    place, other = Place(), Place()
    other.free.set()
    runs = [workers.run_of("a"), workers.run_of("b"), workers.run_of("c", attempts=1)]
    await builders.enqueue(store, *runs)
    async with workers.working(url, place.jobs, concurrency=1):
        await probe.until(lambda: place.begun)
        async with workers.working(url, other.jobs):
            told = await workers.told(store, 2)
        place.free.set()
        await workers.told(store, 3)

    assert ["b", "c"] == other.begun
    assert {("succeeded", 1)} == {(each.outcome, each.attempt) for each in told}


async def test_stop(url: str, store: Store, patient: None) -> None:
    """A worker that is told to stop gives back at once what it claimed ahead, uncounted."""
    place = Place()
    async with occupied(url, store, place) as worker:
        stopping = asyncio.create_task(worker.stop())
        await probe.until(lambda: len(worker._held) == 1)

        async def given_back() -> bool:
            return await states(store) == [State.RUNNING] + [State.QUEUED] * AHEAD

        await probe.found(given_back)
        place.free.set()
        await stopping

    assert ["job-0"] == place.begun
    async with workers.working(url, place.jobs):
        told = await workers.told(store, 1 + AHEAD)
    assert {1} == {each.attempt for each in told}


async def test_cancel(url: str, store: Store, patient: None) -> None:
    """A run that was claimed ahead and is cancelled ends as that; its handler is not called."""
    place = Place()
    async with occupied(url, store, place) as worker:
        job_id = workers.runs_of(1 + AHEAD)[1].job_id
        await Intervention(store).cancel([(GROUP, job_id)])
        held = worker._held.get(job_id)
        await probe.until(lambda: held and held.cancelled)
        place.free.set()
        told = await workers.told(store, 1 + AHEAD)

    assert "job-1" not in place.begun
    assert {"job-1": "cancelled"} == {e.job: e.outcome for e in told if e.outcome != "succeeded"}


async def test_lost(url: str, store: Store, patient: None) -> None:
    """A run that was claimed ahead, and whose lease is lost, never begins."""
    place = Place()
    async with occupied(url, store, place) as worker:
        held = worker._held.get(workers.runs_of(1 + AHEAD)[1].job_id)
        assert held is not None
        worker._runner.lose(held)
        left = len(worker._held)
        place.free.set()
        await workers.told(store, AHEAD)

    assert AHEAD == left
    assert "job-1" not in place.begun
    assert 1 == worker._runner.counts["lost"]


async def test_slots(url: str, store: Store, patient: None) -> None:
    """What waits for a place is none of those that are under way."""
    place = Place()
    async with occupied(url, store, place) as worker:
        page = worker.metrics()
        place.free.set()

    assert "rota_slots_busy 1" in page


async def test_not_paid_for(url: str, store: Store, patient: None) -> None:
    """What a run waits for a place is no service: of four runs one took the time, not each."""
    place = Place()
    async with occupied(url, store, place) as worker:
        await builders.shift(store, WAIT_MS)
        for held in worker._held.snapshot():
            if held.task is None:
                held.started_at -= WAIT_MS / 1000
                held.received_at -= WAIT_MS / 1000
        place.free.set()
        told = await workers.told(store, 1 + AHEAD)
        seconds = prometheus.read(f"{worker.metrics()}\n")["rota_attempt_seconds"].value("_sum")
        estimate_ms = worker._courier._shares._groups[GROUP].estimate_ms
    (used,) = await Usages(store.link).of(GROUP, ["acme"])

    assert WAIT_MS <= used.service_ms < 2 * WAIT_MS
    assert WAIT_MS > max(each.took_ms for each in told)
    assert WAIT_MS > seconds * 1000
    assert WAIT_MS / 10 > estimate_ms
