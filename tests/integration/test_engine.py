"""The engine fires each occurrence at its time, and no job while its last run is not over."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

import pytest

from rota.common import clock
from rota.common.clock import SystemClock
from rota.common.job import Blackout, Job
from rota.common.ledger import Note, Outcome
from rota.scheduler.blackout import blackout_at
from rota.scheduler.engine import Engine
from rota.scheduler.line import Kind, Stretch, Turn
from rota.scheduler.schedule import due_of
from rota.scheduler.standing import Standing
from rota.scheduler.withheld import NEVER_MS, Withheld, by_blackout, opening
from tests.support import probe
from tests.support.definitions import job

CLOCK = SystemClock()
RUN = "acme/import:20260101T000000Z"  # one that was in flight before
FAR = 3_600_000  # an hour: longer than any test lasts, in milliseconds


def around_now(before_s: float, after_s: float) -> tuple[Blackout, ...]:
    """Return a blackout from some whole seconds before now until some after, in UTC."""
    now = CLOCK.now_ms()
    start, end = (clock.utc(now + round(1_000 * s)) for s in (-before_s, after_s))
    return (Blackout(start=f"{start:%Y-%m-%d %H:%M:%S}", end=f"{end:%Y-%m-%d %H:%M:%S}"),)


class Rig:
    """An engine whose store answers at once, and what it did: TENANT/JOB and due time."""

    def __init__(self) -> None:
        self.fired: list[tuple[str, int]] = []
        self.skipped: list[tuple[str, int]] = []
        self.early: list[tuple[str, int]] = []  # fired before they were due
        self.moments: set[int] = set()  # in which anything was fired, ms
        self.ends_at_once = False
        self.kept_back: list[tuple[str, int, str]] = []  # with the blackout's text
        self.noted: list[Note] = []
        self.closed: list[Withheld | None] = []  # what withholds everything, if it does
        self.engine = Engine(tell=self, clock=CLOCK, withhold_of=lambda _: self.withhold)

    def withhold(self, job: Job, due_ms: int) -> Withheld | None:
        """Return what withholds an occurrence."""
        return self.closed[0] if self.closed else by_blackout(job, due_ms)

    def fire(self, job: Job, turn: Turn) -> None:
        """Take note, and answer."""
        self.fired.append((job.ref, turn.due_ms))
        self.moments.add(CLOCK.now_ms())
        if CLOCK.now_ms() < turn.due_ms:
            self.early.append((job.ref, turn.due_ms))
        loop = asyncio.get_running_loop()
        loop.call_soon(self.engine.accepted, job.ref, turn.due_ms)
        if self.ends_at_once:
            loop.call_soon(self.ends, job.ref)

    def note(self, job: Job, notes: Sequence[Note]) -> None:
        """Take note, and answer."""
        self.noted += notes
        for each in notes:
            asyncio.get_running_loop().call_soon(self.engine.noted, each)

    def cancel(self, job: Job, run_id: str) -> None:
        """Cancel nothing."""

    def decided(self, job: Job, what: Stretch, *, waiting: bool) -> None:
        """Take note."""
        if what.kind is Kind.OVERLAPS:
            self.skipped.append((job.ref, what.to_ms))
        else:
            self.kept_back += [(job.ref, what.to_ms, what.detail)] if what.outcome else []

    def ends(self, ref: str = "acme/import") -> int:
        """Let the run of a job end now; return that time."""
        now_ms = CLOCK.now_ms()
        self.engine.finished(ref, self.engine.run(ref), now_ms)
        return now_ms


@pytest.fixture
def rig(runner: asyncio.Runner) -> Iterator[Rig]:
    """Return an engine that is not started, and is stopped after the test."""
    rig = Rig()
    yield rig

    async def stop() -> None:
        rig.engine.stop()

    runner.run(stop())


def add(rig: Rig, job: Job, *, running: bool = False) -> int:
    """Add a job, due first by its own schedule from now on; return that time."""
    now_ms = CLOCK.now_ms()
    first = due_of(job).next_after(now_ms)
    assert first is not None
    rig.engine.add(job, at(now_ms, first, running=running))
    return first


def at(until_ms: int, next_ms: int | None = None, *, running: bool = False) -> Standing:
    """Return where a job is; its run in flight, if there is one, goes on for a second."""
    run, busy_ms = (RUN, CLOCK.now_ms() - 1_000) if running else ("", 0)
    return Standing(until_ms=until_ms, run=run, busy_ms=busy_ms, next_ms=next_ms)


def has_fired(rig: Rig, ref: str, times: int) -> bool:
    """Tell whether TENANT/JOB was fired just so often."""
    return times == sum(fired == ref for fired, _ in rig.fired)


async def test_fires_when_due(rig: Rig) -> None:
    """Each occurrence of a fixed rate is fired, with its due time, and none before that time."""
    rig.ends_at_once = True
    first = add(rig, job(every="100ms"))
    rig.engine.start()
    await probe.until(lambda: len(rig.fired) >= 4)
    dues = [due_ms for _, due_ms in rig.fired]

    assert first == dues[0]
    assert [0] * len(dues) == [(due_ms - first) % 100 for due_ms in dues]
    assert sorted(set(dues)) == dues
    assert [] == rig.early
    assert [] == rig.skipped


async def test_jobs_of_every_kind(rig: Rig) -> None:
    """Jobs of all kinds are fired side by side, each with its own first due time."""
    now_ms = CLOCK.now_ms()
    jobs = [job("a/cron", cron="* * * * *"), job("a/every", every="1h"), job("a/after", after="1h")]
    last = [due_of(each).last_until(now_ms) or now_ms for each in jobs]
    for each, due_ms in zip(jobs, last, strict=True):
        rig.engine.add(each, at(due_ms - 1, due_ms))
    rig.engine.start()
    await probe.until(lambda: len(rig.fired) == 3)

    assert {(each.ref, due_ms) for each, due_ms in zip(jobs, last, strict=True)} == set(rig.fired)


async def test_one_in_flight(rig: Rig) -> None:
    """While a run is not over, what is due is skipped, with its due time, and nothing is fired."""
    first = add(rig, job(every="100ms"))
    rig.engine.start()
    await probe.until(lambda: len(rig.skipped) >= 3)

    assert [("acme/import", first)] == rig.fired
    assert ("acme/import", first + 100) == rig.skipped[0]
    assert all(0 == (due_ms - first) % 100 for _, due_ms in rig.skipped)


async def test_goes_on_when_the_run_is_over(rig: Rig) -> None:
    """A run that is over frees the job for the next occurrence; what was skipped stays skipped."""
    add(rig, job(every="100ms"))
    rig.engine.start()
    await probe.until(lambda: rig.skipped)
    rig.ends()
    await probe.until(lambda: len(rig.fired) == 2)

    assert rig.fired[1][1] > rig.skipped[-1][1]


async def test_one_job_does_not_hold_up_another(rig: Rig) -> None:
    """A job whose run is not over is no hindrance for other jobs."""
    add(rig, job("acme/stuck", every="100ms"))
    add(rig, job("acme/lively", every="100ms"))
    rig.engine.start()
    for count in (1, 2, 3):
        await probe.until(partial(has_fired, rig, "acme/lively", count))
        rig.ends("acme/lively")

    assert has_fired(rig, "acme/stuck", 1)


async def test_fixed_delay(rig: Rig) -> None:
    """A fixed delay counts from the end of the last run, however long that took."""
    every, after = job("acme/clock", every="100ms"), job(after="100ms")
    add(rig, after)
    add(rig, every)
    rig.engine.start()
    await probe.until(lambda: len([s for s in rig.skipped if s[0] == every.ref]) >= 2)  # some time

    assert has_fired(rig, after.ref, 1)
    assert [] == [due_ms for ref, due_ms in rig.skipped if ref == after.ref]
    assert rig.engine.next_ms(after.ref) is None

    ended_ms = rig.ends(after.ref)

    assert ended_ms + 100 == rig.engine.next_ms(after.ref)

    await probe.until(lambda: (after.ref, ended_ms + 100) in rig.fired)

    assert [] == rig.early


async def test_adopted_run(rig: Rig) -> None:
    """A run that was in flight before the start keeps its job from firing until it is over."""
    add(rig, job(every="100ms"), running=True)
    rig.engine.start()
    await probe.until(lambda: rig.skipped)

    assert [] == rig.fired

    rig.ends()
    await probe.until(lambda: rig.fired)


async def test_adopted_run_of_a_fixed_delay(rig: Rig) -> None:
    """A fixed delay whose run was in flight before the start is due when that run has ended."""
    rig.engine.add(job(after="100ms"), at(0, running=True))
    rig.engine.start()

    assert rig.engine.next_ms("acme/import") is None

    ended_ms = rig.ends()
    await probe.until(lambda: rig.fired)

    assert [("acme/import", ended_ms + 100)] == rig.fired
    assert [] == rig.skipped


async def test_unknown_and_repeated_ends(rig: Rig) -> None:
    """The end of an unknown job's run, or of the same run again, frees nothing twice."""
    first = add(rig, job(every="100ms"))
    rig.engine.start()
    for run in (RUN, f"{RUN}0"):
        rig.engine.finished("acme/import", run, CLOCK.now_ms())
    rig.engine.finished("nobody/nothing", RUN, CLOCK.now_ms())
    await probe.until(lambda: rig.skipped)

    assert [("acme/import", first)] == rig.fired


async def test_stall(rig: Rig) -> None:
    """What was missed while nothing could be fired is fired once, as the last of it."""
    rate = job(every="100ms")
    last = due_of(rate).last_until(CLOCK.now_ms())
    assert last is not None
    rig.engine.add(rate, at(last - 1_000))
    rig.engine.start()
    await probe.until(lambda: rig.skipped)

    assert 1 == len(rig.fired)
    assert last <= rig.fired[0][1]
    assert rig.fired[0][1] < rig.skipped[0][1]


async def test_stall_during_a_run(rig: Rig) -> None:
    """What was missed while nothing could be fired and a run went on is one skip, not many."""
    rate = job(every="1h")
    last = due_of(rate).last_until(CLOCK.now_ms())
    assert last is not None
    rig.engine.add(rate, Standing(until_ms=last - 10 * FAR, run=RUN, busy_ms=last - 10 * FAR))
    rig.engine.start()
    await probe.until(lambda: rig.skipped)

    assert [("acme/import", last)] == rig.skipped
    assert [] == rig.fired


async def test_next_time(rig: Rig) -> None:
    """The next due time of a job is known before the start and after each firing."""
    first = add(rig, job(every="100ms"))

    assert first == rig.engine.next_ms("acme/import")
    assert rig.engine.next_ms("nobody/nothing") is None

    rig.engine.start()
    await probe.until(lambda: rig.fired)
    coming = rig.engine.next_ms("acme/import")

    assert coming is not None
    assert coming > first


async def test_stopped(rig: Rig) -> None:
    """After a stop nothing is fired, and a run that ends then is taken note of without harm."""
    add(rig, job("acme/rate", every="100ms"))
    rig.engine.add(job("acme/delay", after="100ms"), at(0, CLOCK.now_ms()))
    rig.engine.start()
    await probe.until(lambda: len(rig.fired) == 2)
    rig.engine.stop()
    rig.ends("acme/delay")
    rig.ends("acme/rate")
    rig.engine.stop()
    told = len(rig.noted)
    begun = CLOCK.monotonic()
    await probe.until(lambda: CLOCK.monotonic() > begun + 0.3)

    assert (2, told) == (len(rig.fired), len(rig.noted))


async def test_stop_before_start(rig: Rig) -> None:
    """An engine that never started can be stopped."""
    rig.engine.add(job(every="1h"), at(CLOCK.now_ms()))
    rig.engine.stop()

    assert [] == rig.fired


async def test_blackout(rig: Rig) -> None:
    """What falls due in a blackout is kept back, not fired; that is said, with its due time."""
    blackouts = around_now(60, 600)
    first = add(rig, job(every="100ms", blackouts=blackouts))
    rig.engine.start()
    await probe.until(lambda: len(rig.kept_back) >= 3)

    assert ("acme/import", first, blackouts[0].text) == rig.kept_back[0]
    assert first + 100 == rig.kept_back[1][1]
    assert [] == rig.fired + rig.skipped


async def test_blackout_during_a_run(rig: Rig) -> None:
    """What falls due in a blackout while a run is not over is kept back, and is no overlap."""
    add(rig, job(every="100ms", blackouts=around_now(60, 600)), running=True)
    rig.engine.start()
    await probe.until(lambda: len(rig.kept_back) >= 2)

    assert [] == rig.fired + rig.skipped


async def test_a_blackout_ends(rig: Rig) -> None:
    """When a blackout is over the job goes on, at its own times."""
    each = job(every="100ms", blackouts=around_now(60, 1.5))
    add(rig, each)
    rig.engine.start()
    await probe.until(lambda: rig.fired)

    assert [] != rig.kept_back
    assert rig.fired[0][1] > rig.kept_back[-1][1]
    assert blackout_at(each, rig.fired[0][1]) is None
    assert 0 == (rig.fired[0][1] - rig.kept_back[0][1]) % 100


async def test_fixed_delay_in_a_blackout(rig: Rig) -> None:
    """A fixed delay that falls due in a blackout is due again at its end, and not before."""
    each = job(after="100ms", blackouts=around_now(60, 1.5))
    due = CLOCK.now_ms()
    rig.engine.add(each, at(0, due))
    rig.engine.start()
    await probe.until(lambda: rig.fired)

    assert [("acme/import", due, each.blackouts[0].text)] == rig.kept_back
    assert [("acme/import", opening(lambda ms: by_blackout(each, ms), due))] == rig.fired
    assert [] == rig.early


async def test_late_in_a_blackout(rig: Rig) -> None:
    """Of what was missed the last that no blackout holds is fired, and the others are not."""
    last = due_of(job(every="1h")).last_until(CLOCK.now_ms())
    assert last is not None
    each = job(every="1h", blackouts=around_now(2 * 3600 + 600, 600))
    rig.engine.add(each, at(last - 5 * FAR))
    rig.engine.start()
    await probe.until(lambda: rig.fired)
    (fired,) = rig.fired

    assert blackout_at(each, fired[1]) is None
    assert blackout_at(each, fired[1] + FAR) is not None
    assert [] != rig.kept_back
    assert {"missed"} == {note.outcome for note in rig.noted if note.to_ms < fired[1]}


async def test_once(rig: Rig) -> None:
    """A single time is fired once; the end of its run, and a stop, find nothing left to do."""
    at = clock.utc(CLOCK.now_ms() + 1_000)
    each = job(at=f"{at:%Y-%m-%d %H:%M:%S}")
    first = add(rig, each)
    add(rig, job("acme/rate", every="100ms"))
    rig.engine.start()
    await probe.until(lambda: (each.ref, first) in rig.fired)
    rig.ends(each.ref)
    seen = len(rig.skipped)
    await probe.until(lambda: len(rig.skipped) > seen + 2)  # some time

    assert has_fired(rig, each.ref, 1)
    assert rig.engine.next_ms(each.ref) is None

    rig.engine.remove(each.ref)


async def test_once_too_late(rig: Rig) -> None:
    """A single time that has passed when its job is added is never fired."""
    rig.engine.add(job(at="2026-01-01 00:00"), at(CLOCK.now_ms()))
    rig.engine.start()

    assert rig.engine.next_ms("acme/import") is None
    assert [] == rig.fired


PAUSED = Withheld(Outcome.PAUSED, "acme by ann@ops", 0, NEVER_MS)


async def test_fixed_delay_that_is_paused(rig: Rig) -> None:
    """A fixed delay whose pause has no end is due as soon as somebody says that it is over."""
    rig.closed.append(PAUSED)
    rig.engine.start()
    rig.engine.add(job(after="100ms"), at(0, next_ms=CLOCK.now_ms()))
    await probe.until(lambda: rig.kept_back)
    rig.engine.look_again()

    assert rig.engine.next_ms("acme/import") is None
    rig.closed.clear()
    before_ms = CLOCK.now_ms()
    rig.engine.look_again()
    await probe.until(lambda: rig.fired)
    ((ref, due_ms),) = rig.fired
    assert ("acme/import", True) == (ref, before_ms <= due_ms)
    rig.engine.look_again()
    assert rig.engine.next_ms("acme/import") is None


async def test_fixed_delay_that_becomes_a_rate(rig: Rig) -> None:
    """A job that was a paused fixed delay, and is so no more, is due by its new schedule alone."""
    rig.closed.append(PAUSED)
    rig.engine.start()
    rig.engine.add(job(after="100ms"), at(0, next_ms=CLOCK.now_ms()))
    await probe.until(lambda: rig.kept_back)
    now_ms = CLOCK.now_ms()
    rig.engine.retime(job(every="1h", phase_ms=(now_ms - 1) % FAR), at(now_ms), now_ms)
    rig.closed.clear()
    rig.engine.look_again()

    assert now_ms - 1 + FAR == rig.engine.next_ms("acme/import")


async def test_very_many(rig: Rig) -> None:
    """When thousands of jobs are due at once all are fired; others have their turn meanwhile."""
    due_ms = CLOCK.now_ms() - 1_000
    jobs = [job(f"t{n}/x", every="1h", phase_ms=due_ms % FAR) for n in range(5_000)]
    for each in jobs:
        rig.engine.add(each, at(due_ms - 1))
    seen: list[int] = []

    def all_fired() -> bool:
        seen.append(len(rig.fired))
        return len(rig.fired) == len(jobs)

    rig.engine.start()
    await probe.until(all_fired)

    assert {(each.ref, due_ms) for each in jobs} == set(rig.fired)
    assert len({count for count in seen if 0 < count < len(jobs)}) > 1


async def test_many_a_second(rig: Rig) -> None:
    """When thousands are due each second those of some ms are fired together, none early."""
    count, spread_ms = 1_500, 300
    first_ms = CLOCK.now_ms() + 300
    for n in range(count):
        due_ms = first_ms + n * spread_ms // count
        each = job(f"t{n}/x", every="1h", phase_ms=due_ms % FAR)
        rig.engine.add(each, at(due_ms - 1))
    rig.engine.start()
    await probe.until(lambda: len(rig.fired) == count)

    assert not rig.early
    assert spread_ms / 3 > len(rig.moments)
