"""The courier: many runs in one round trip, none lost on the way, none fetched twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rota.common import clock as clocks
from rota.common import keys
from rota.common.clock import SystemClock
from rota.common.link import LONGEST_BLOCK
from rota.common.state import State
from rota.common.store import Store
from rota.worker import Context, Jobs
from rota.worker.courier import Courier
from rota.worker.held import HeldRun, HeldRuns
from tests.support import builders, probe, workers
from tests.support.builders import DUE_MS, GROUP, HANDLER, WORKER
from tests.support.logbook import Logbook


class Desk:
    """A courier whose runs end when the test says so."""

    def __init__(self, store: Store, concurrency: int, clock: clocks.Clock | None = None) -> None:
        self.logbook = Logbook()
        self.held = HeldRuns()
        self.begun: list[HeldRun] = []
        self.registrations = 0
        self._store = store
        self._clock = clock or SystemClock()
        self.courier = Courier(
            worker_id=WORKER,
            concurrency=concurrency,
            store=store,
            held=self.held,
            clock=self._clock,
            begin=self._begin,
            register=self.register,
            log=self.logbook.log,
        )

    def _begin(self, held: HeldRun) -> None:
        held.began_at = self._clock.monotonic()
        self.begun.append(held)

    async def register(self) -> None:
        """Make the worker known."""
        self.registrations += 1
        await builders.register(self._store)

    def end(self, held: HeldRun) -> None:
        """Let a run succeed."""
        self.courier.report(held, builders.ended(held.run))

    def rest(self, held: HeldRun) -> None:
        """Let an attempt fail."""
        self.courier.report(held, builders.resting(held.run))

    async def begins(self, count: int) -> list[HeldRun]:
        """Return the runs as soon as so many have begun in all."""
        await probe.until(lambda: len(self.begun) >= count)
        return self.begun


@asynccontextmanager
async def serving(
    store: Store,
    concurrency: int = 4,
    groups: tuple[str, ...] = (GROUP,),
    clock: clocks.Clock | None = None,
) -> AsyncIterator[Desk]:
    """Return a courier that serves some groups."""
    desk = Desk(store, concurrency, clock)
    await builders.register(store, groups=groups)
    await desk.courier.start()
    for group in groups:
        await desk.courier.serve(group)
    try:
        yield desk
    finally:
        await desk.courier.stop()


class Tally:
    """Jobs whose only handler counts its calls and does nothing else."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.calls = 0
        self.jobs.handler(HANDLER)(self._count)

    async def _count(self, ctx: Context) -> None:
        self.calls += 1


async def tokens(store: Store) -> int:
    """Return how many wake tokens wait to be taken."""
    return int(await store.link.command("LLEN", keys.wake(GROUP)))


async def test_round_trips_under_load(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load, claims, completions and all else take at most one round trip for five runs."""
    tally = Tally()
    await builders.enqueue(store, *workers.runs_of(2_000))
    trips = workers.Trips(monkeypatch)
    async with workers.working(url, tally.jobs, concurrency=100):
        await probe.until(lambda: tally.calls == 2_000)
    made = trips.counts.total() - trips.counts["block"]

    assert 2_000 == len(await workers.completions(store))
    assert made <= 0.2 * 2_000


async def test_idle_worker_is_silent(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle worker only listens, and looks once after each longest block."""
    monkeypatch.setattr("rota.common.store.LONGEST_BLOCK", 0.05)
    trips = workers.Trips(monkeypatch)
    async with workers.working(url, Tally().jobs):
        await probe.until(lambda: trips.counts["block"] == 5)
        taken = list(trips.taken)
    idle = taken[taken.index("block:BLPOP") :]

    assert ["block:BLPOP", "batch:claim"] * 4 + ["block:BLPOP"] == idle


async def test_no_more_than_its_places(store: Store) -> None:
    """A courier holds as many runs as there are places, and fetches one for each that ends."""
    await builders.enqueue(store, *workers.runs_of(5))
    async with serving(store, 2) as desk:
        first, _ = await desk.begins(2)
        desk.end(first)
        await desk.begins(3)
        await workers.told(store, 1)

        assert 2 == len(desk.held)
        assert 3 == len(desk.begun)


async def test_many_places(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many places and ends there are, each script moves a bounded number of runs."""
    sizes: list[int] = []
    exchange = Store.exchange

    async def measured(
        store: Store, worker: str, ended: Any, resting: Any, wanted: dict[str, int], **rest: Any
    ) -> Any:
        sizes.append(max(len(ended), len(resting), sum(wanted.values())))
        return await exchange(store, worker, ended, resting, wanted, **rest)

    monkeypatch.setattr(Store, "exchange", measured)
    await builders.enqueue(store, *workers.runs_of(600))
    async with serving(store, 1_000) as desk:
        for held in list(await desk.begins(600)):
            desk.end(held)
        await workers.told(store, 600)

    assert 250 == max(sizes)


async def test_places_go_where_the_work_is(store: Store) -> None:
    """A group without work leaves its places to the others at once."""
    await builders.enqueue(store, *workers.runs_of(8), group="silver")
    await builders.enqueue(store, workers.run_of(), group="gold")
    async with serving(store, 8, ("gold", "silver")) as desk:
        begun = await desk.begins(8)
        groups = [held.run.group for held in begun]

    assert (1, 7) == (groups.count("gold"), groups.count("silver"))


async def test_busy_group_hides_no_other(store: Store) -> None:
    """A group that takes every place as it gets free keeps no other from being asked, for long."""
    clock = builders.Clock()
    await builders.enqueue(store, *(builders.occurrence(job=f"j{n}") for n in range(9)))
    async with serving(store, 1, (GROUP, "silver"), clock) as desk:
        for number in range(1, 5):
            run = (await desk.begins(number))[-1]
            clock.advance(0.2)
            desk.end(run)
        await desk.begins(5)
        await builders.enqueue(store, builders.occurrence(), group="silver")
        clock.advance(LONGEST_BLOCK)
        for number in range(5, 8):
            desk.end((await desk.begins(number))[-1])
        await desk.begins(8)

    assert "silver" in [held.run.group for held in desk.begun]


async def test_unregistered(store: Store) -> None:
    """A courier that the store does not know has itself registered, and goes on."""
    async with serving(store) as desk:
        await workers.idle(store)
        await store.link.command("DEL", keys.handlers(GROUP, WORKER))
        await builders.enqueue(store, workers.run_of())
        await desk.begins(1)

    assert 1 == desk.registrations


async def test_run_during_a_claim(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that comes when a claim has found nothing, but its answer is on the way, is fetched."""
    exchange = Store.exchange
    late = [workers.run_of()]

    async def slow(store: Store, *args: Any, **options: Any) -> Any:
        answer = await exchange(store, *args, **options)
        if late and desk.begun == []:
            await builders.enqueue(store, late.pop())
            await store.link.command("DEL", keys.wake(GROUP))
            desk.courier._rung(GROUP)  # its token was taken by a bell that was armed before
        return answer

    async with serving(store) as desk:
        monkeypatch.setattr(Store, "exchange", slow)
        await store.ring(GROUP)
        async with asyncio.timeout(workers.PROMPTLY):
            await desk.begins(1)


async def test_lost_reply(url: str, store: Store) -> None:
    """Reports whose reply is lost are sent again, and published once."""
    runs = workers.runs_of(2)
    await builders.enqueue(store, *runs)
    async with workers.proxied(url) as (proxy, near), serving(near) as desk:
        first, second = await desk.begins(2)
        await workers.idle(store)
        proxy.lose_reply()
        desk.end(first)
        desk.rest(second)
        told = await workers.told(store, 2)
        await probe.until(lambda: bool(desk.logbook.events("store_found")))

    assert 1 == proxy.replies_lost
    assert ["retrying", "succeeded"] == sorted(completion.outcome for completion in told)
    assert told == await workers.completions(store)
    assert [] == desk.logbook.events("completion_refused")


async def test_outage(url: str, store: Store) -> None:
    """What ends while the store is away is sent when it is back."""
    await builders.enqueue(store, *workers.runs_of(3))
    async with workers.proxied(url) as (proxy, near), serving(near) as desk:
        first, second, third = await desk.begins(3)
        await proxy.cut()
        desk.end(first)
        await probe.until(lambda: bool(desk.logbook.events("store_lost")))
        desk.end(second)
        desk.rest(third)
        early = len(await workers.completions(store))
        await proxy.mend()
        told = await workers.told(store, 3)

    assert 0 == early
    assert ["retrying", "succeeded", "succeeded"] == sorted(each.outcome for each in told)


async def test_late_completion_is_refused(store: Store) -> None:
    """The report of a run that was rescued meanwhile is refused, and the log says so."""
    run = workers.run_of()
    await builders.enqueue(store, run)
    async with serving(store) as desk:
        (first,) = await desk.begins(1)
        await builders.shift(store, 20_000)
        await store.sweep(GROUP)
        second = (await desk.begins(2))[1]
        desk.end(first)
        await probe.until(lambda: bool(desk.logbook.events("completion_refused")))
        state = await builders.state_of(store, run.job_id)
        desk.end(second)
        told = await workers.told(store, 2)

    assert State.RUNNING is state
    assert [("retrying", 1), ("succeeded", 2)] == [(each.outcome, each.attempt) for each in told]


async def reopened(desk: Desk, store: Store) -> int:
    """Let the store be lost and asked; return how many completions the courier sends again."""
    before = len(desk.logbook.events("store_reopened"))
    await builders.change_server(store)
    desk.courier.look(GROUP)
    await probe.until(lambda: len(desk.logbook.events("store_reopened")) > before)
    await probe.until(lambda: not desk.courier._ended and not desk.courier._turning.locked())
    return int(desk.logbook.events("store_reopened")[before]["completions"])


async def test_told_again_quietly(store: Store) -> None:
    """A completion that is sent again is no complaint, though a later run has ended since."""
    async with serving(store) as desk:
        for number, due_ms in enumerate((DUE_MS, DUE_MS + 1), start=1):
            await builders.enqueue(store, builders.occurrence(due_ms=due_ms))
            desk.end((await desk.begins(number))[-1])
            await workers.told(store, number)
        again = [await reopened(desk, store) for _ in range(2)]
        quiet = desk.logbook.events("completion_told_before")

    assert [2, 2] == again
    assert {"store_reopened"} == set(desk.logbook.complaints())
    assert [builders.occurrence().job_id] * 2 == [entry["job_id"] for entry in quiet]


async def test_told_again_for_half_a_minute(store: Store) -> None:
    """A completion is sent again to stores that are reopened within 30 s of its first sending."""
    clock = builders.Clock()
    await builders.enqueue(store, builders.occurrence())
    async with serving(store, clock=clock) as desk:
        desk.end((await desk.begins(1))[0])
        await workers.told(store, 1)
        clock.advance(20)
        first = [await reopened(desk, store) for _ in range(2)]
        clock.advance(20)
        second = await reopened(desk, store)

    assert ([1, 1], 0) == (first, second)


async def test_draining(store: Store) -> None:
    """A courier that drains claims nothing, and goes on sending what ends."""
    await builders.enqueue(store, *workers.runs_of(3))
    async with serving(store, 1) as desk:
        (first,) = await desk.begins(1)
        await desk.courier.drain()
        desk.end(first)
        await workers.told(store, 1)

    assert 1 == len(desk.begun)
    assert 2 == await store.link.command("LLEN", keys.queue(GROUP, "acme"))


async def test_drain_waits_for_the_claim(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """When draining has begun, all that was ever claimed is held: nothing comes in behind it."""
    exchange = Store.exchange
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(store: Store, *args: Any, **options: Any) -> Any:
        reply = await exchange(store, *args, **options)
        asked.set()
        await answer.wait()
        return reply

    await builders.enqueue(store, workers.run_of())
    monkeypatch.setattr(Store, "exchange", slow)
    async with serving(store) as desk:
        await asked.wait()
        draining = asyncio.ensure_future(desk.courier.drain())
        await asyncio.sleep(0)
        early = draining.done()
        answer.set()
        await draining

        assert not early
        assert 1 == len(desk.held) == len(desk.begun)


async def test_stop_sends_what_is_left(store: Store) -> None:
    """All that ended before the stop is reported when it returns, whatever its number."""
    await builders.enqueue(store, *workers.runs_of(300))
    async with serving(store, 300) as desk:
        for held in list(await desk.begins(300)):
            desk.end(held)

    assert 300 == len(await workers.completions(store))


async def test_stop_passes_the_token_on(store: Store) -> None:
    """A token that the server gave to a courier that stops is given to the next one."""
    async with serving(store):
        await workers.idle(store)
    left = await tokens(store)

    assert 1 == left


async def test_stop_without_a_store(url: str, store: Store) -> None:
    """Stopping is prompt if the store is gone, and the log says what could not be sent."""
    await builders.enqueue(store, workers.run_of())
    async with workers.proxied(url) as (proxy, near):
        desk = Desk(near, 1)
        await builders.register(store)
        await desk.courier.start()
        await desk.courier.serve(GROUP)
        (held,) = await desk.begins(1)
        await proxy.cut()
        desk.end(held)
        async with asyncio.timeout(workers.PROMPTLY):
            await desk.courier.stop()

    assert [1] == [entry["count"] for entry in desk.logbook.events("completions_not_sent")]


async def test_no_group_after_the_stop(store: Store) -> None:
    """A group that is found while the courier stops is not served: nobody would stop its bell."""
    async with serving(store) as desk:
        await desk.courier.stop()
        await desk.courier.serve("silver")
    await workers.idle(store, 0)

    assert [GROUP] == desk.courier.groups


@pytest.mark.parametrize("steps", range(0, 60, 4))
async def test_stops_at_any_moment(store: Store, steps: int) -> None:
    """Whenever it is stopped, no run is held by nobody and nobody listens any more."""
    runs = workers.runs_of(3)
    await builders.enqueue(store, *runs)
    await builders.register(store)
    desk = Desk(store, 2)
    await desk.courier.start()
    await desk.courier.serve(GROUP)
    for _ in range(steps):
        await asyncio.sleep(0)
    async with asyncio.timeout(workers.PROMPTLY):
        await desk.courier.stop()
        await desk.courier.stop()
    running = [run for run in runs if await workers.lease_end(store, run)]
    await workers.idle(store, 0)

    assert sorted(run.job_id for run in running) == sorted(h.run.job_id for h in desk.begun)
    assert not desk.courier.failed.is_set()
