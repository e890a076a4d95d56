"""Several schedulers on one store: each group is led by one, and nothing is doubled or dropped."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from rota.common.clock import SystemClock
from rota.common.job import Job
from rota.common.store import Store
from rota.scheduler.leader import TTL
from rota.worker import Context, Jobs
from tests.support import builders, probe, schedulers, workers
from tests.support.builders import GROUP, HANDLER
from tests.support.definitions import job

TAKEN_OVER = 10.0  # seconds until a group that lost its leader has another one
GROUPS = ("gold", "silver", "bronze", "free")
_CLOCK = SystemClock()


class Call(NamedTuple):
    """One call of the handler, in monotonic seconds."""

    job_id: str
    ref: str
    begun: float
    ended: float


class Calls:
    """Jobs whose handler takes a little while, and what was called."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.made: list[Call] = []
        self.jobs.handler(HANDLER)(self._work)

    async def _work(self, ctx: Context) -> None:
        begun = _CLOCK.monotonic()
        await asyncio.sleep(0.01)
        ref = f"{ctx.tenant}/{ctx.job}"
        self.made.append(Call(ctx.job_id, ref, begun, _CLOCK.monotonic()))

    def enough(self, count: int) -> bool:
        """Tell whether there were so many calls."""
        return len(self.made) >= count

    def doubles(self) -> list[str]:
        """Return the runs that were called more than once."""
        ids = [call.job_id for call in self.made]
        return sorted({each for each in ids if ids.count(each) > 1})

    def rests(self, ref: str) -> list[float]:
        """Return the seconds from each end of TENANT/JOB to the next begin."""
        calls = [call for call in self.made if call.ref == ref]
        calls.sort(key=lambda call: call.begun)
        return [b.begun - a.ended for a, b in pairwise(calls)]


def jobs_of(*groups: str) -> list[Job]:
    """Return a job with a fixed rate and one with a fixed delay in each group."""
    return [
        each
        for group in groups
        for each in (
            job(f"{group}/rate", every="100ms", group=group),
            job(f"{group}/delay", after="100ms", group=group),
        )
    ]


async def test_one_leads(url: str) -> None:
    """Of several schedulers one leads a group, and the others send nothing."""
    jobs = jobs_of(GROUP)
    async with (
        schedulers.running(url, *jobs) as first,
        schedulers.beside(url, *jobs) as second,
        schedulers.beside(url, *jobs) as third,
    ):
        await probe.until(lambda: first.enqueued("gold/rate"))
        await probe.until(lambda: second.book.events("scheduler_started"))

        assert {GROUP} == first.led
        assert set() == second.led | third.led
        assert [] == second.book.events("run_enqueued") + third.book.events("run_enqueued")


async def test_takes_over_from_one_that_is_killed(url: str) -> None:
    """When the leader is killed another scheduler fires its jobs within 10 s."""
    calls, jobs = Calls(), jobs_of(GROUP)
    async with (
        workers.working(url, calls.jobs),
        schedulers.running(url, *jobs) as first,
        schedulers.beside(url, *jobs) as second,
    ):
        await probe.until(lambda: first.enqueued("gold/rate"))
        await first.crash()
        await probe.until(lambda: all(second.enqueued(each.ref) for each in jobs), 10.0)
        await probe.until(lambda: len(calls.made) > 10)

    assert [] == calls.doubles()
    assert min(calls.rests("gold/delay")) >= 0.1
    assert max(calls.rests("gold/delay") + calls.rests("gold/rate")) < 10


async def test_takes_over_from_one_that_stops(url: str) -> None:
    """When the leader stops another scheduler goes on as soon as it looks."""
    jobs = jobs_of(GROUP)
    async with schedulers.running(url, *jobs) as first, schedulers.beside(url, *jobs) as second:
        await first.daemon.stop()
        await probe.until(lambda: second.led, TTL / 2 + workers.PROMPTLY)
        # Those that the first one sent are in flight for good: nobody works.
        left = first.enqueued("gold/rate")
        await probe.until(lambda: left or second.enqueued("gold/rate"), workers.PROMPTLY)

    complaints = {*first.book.complaints(), *second.book.complaints()}
    assert complaints <= {"occurrence_skipped"}  # the next one, while nobody works


async def test_runs_in_flight_are_adopted(url: str, store: Store) -> None:
    """Who takes over awaits the runs that were sent before, and sends none of them again."""
    jobs = [job(after="100ms"), job("acme/rate", every="100ms")]
    async with (
        schedulers.running(url, *jobs) as first,
        schedulers.beside(url, *jobs) as second,
    ):
        held = [await schedulers.claimed(store) for _ in jobs]
        await first.crash()
        await builders.shift(store, round(TTL * 1000))
        await probe.until(lambda: second.book.events("group_led"))
        (led,) = second.book.events("group_led")
        await probe.until(lambda: second.book.events("occurrence_skipped"))
        before = second.book.events("run_enqueued")
        for run in held:
            assert "completed" == await builders.complete(store, run)
        await probe.until(lambda: second.enqueued() and second.enqueued("acme/rate"))

    assert 2 == led["in_flight"]
    assert [] == before
    assert {run.job_id for run in held}.isdisjoint(second.enqueued() + second.enqueued("acme/rate"))


async def test_old_leader_comes_back(url: str, store: Store) -> None:
    """A leader that was paused, and has not heard that it is deposed, can enqueue nothing."""
    jobs = [job(f"t{n}/rate", every="100ms") for n in range(5)]
    async with (
        schedulers.running(url, *jobs) as first,
        schedulers.beside(url, *jobs) as second,
    ):
        await probe.until(lambda: first.enqueued("t4/rate"))
        await first.stall()
        await builders.shift(store, round(TTL * 1000))
        await probe.until(lambda: second.led)
        sent = len(first.book.events("run_enqueued"))
        for each in jobs:
            engine = first.daemon.engine
            engine.finished(each.ref, engine.run(each.ref), _CLOCK.now_ms())
        await probe.until(lambda: len(first.book.events("occurrence_not_sent")) >= 5)

        assert first.led == second.led == {GROUP}
        assert sent == len(first.book.events("run_enqueued"))
        assert {"deposed"} == {e["reason"] for e in first.book.events("occurrence_not_sent")}


async def test_groups_are_shared(url: str) -> None:
    """Two schedulers lead half of the groups each; one that comes, goes or dies leaves no gap."""
    calls, jobs = Calls(), jobs_of(*GROUPS)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(workers.working(url, calls.jobs, groups=[*GROUPS]))
        first = await stack.enter_async_context(schedulers.running(url, *jobs))
        second = await stack.enter_async_context(schedulers.beside(url, *jobs))
        await probe.until(lambda: (2, 2) == (len(first.led), len(second.led)))
        apart = first.led.isdisjoint(second.led)
        await probe.until(
            lambda: len({e["job_id"] for e in second.book.events("run_enqueued")}) > 20
        )
        await second.daemon.stop()
        await probe.until(lambda: len(first.led) == 4)
        third = await stack.enter_async_context(schedulers.beside(url, *jobs))
        await probe.until(lambda: (2, 2) == (len(first.led), len(third.led)))
        count = len(calls.made)
        await probe.until(lambda: len(calls.made) > count + 40)

    assert apart
    assert [] == calls.doubles()
    for each in jobs:
        assert -0.001 <= min(calls.rests(each.ref))
        assert max(calls.rests(each.ref)) < TAKEN_OVER
    for group in GROUPS:
        assert min(calls.rests(f"{group}/delay")) >= 0.1


async def test_a_fixed_delay_is_kept_over_every_change(url: str) -> None:
    """However often the leader changes, a job never starts before its delay is over."""
    calls = Calls()
    jobs = [job(f"t{n}/delay", after="50ms") for n in range(10)]
    async with workers.working(url, calls.jobs):
        for n in range(1, 13):
            async with schedulers.running(url, *jobs):
                await probe.until(partial(calls.enough, 30 * n))
    rests = [rest for each in jobs for rest in calls.rests(each.ref)]

    assert [] == calls.doubles()
    assert len(rests) > 300
    assert min(rests) >= 0.05
