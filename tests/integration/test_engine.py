"""The engine fires each occurrence at its time, and no job while its last run is not over."""

import asyncio
from collections.abc import Iterator
from functools import partial

import pytest

from rota.common import clock
from rota.common.clock import SystemClock
from rota.common.job import Blackout, Job
from rota.common.ledger import Outcome
from rota.scheduler.blackout import blackout_at
from rota.scheduler.engine import Engine
from rota.scheduler.schedule import due_of
from rota.scheduler.withheld import NEVER_MS, Withheld, by_blackout, opening
from tests.support import probe
from tests.support.definitions import job

CLOCK = SystemClock()
FAR = 3_600_000  # an hour: longer than any test lasts, in milliseconds


def around_now(before_s: float, after_s: float) -> tuple[Blackout, ...]:
    """Return a blackout from some whole seconds before now until some after, in UTC."""
    now = CLOCK.now_ms()
    start, end = (clock.utc(now + round(1_000 * s)) for s in (-before_s, after_s))
    return (Blackout(start=f"{start:%Y-%m-%d %H:%M:%S}", end=f"{end:%Y-%m-%d %H:%M:%S}"),)


class Rig:
    """An engine, and what it did: TENANT/JOB and due time of what it fired and skipped."""

    def __init__(self) -> None:
        self.fired: list[tuple[str, int]] = []
        self.skipped: list[tuple[str, int]] = []
        self.early: list[tuple[str, int]] = []  # fired before they were due
        self.ends_at_once = False
        self.kept_back: list[tuple[str, int, str]] = []  # with the blackout's text
        self.closed: list[Withheld | None] = []  # what withholds everything, if it does
        self.engine = Engine(
            fire=self._fire,
            skipped=self._skip,
            kept_back=self._keep_back,
            withhold=lambda job, ms: (self.closed or [by_blackout(job, ms)])[0],
        )

    def _fire(self, job: Job, due_ms: int) -> None:
        self.fired.append((job.ref, due_ms))
        if CLOCK.now_ms() < due_ms:
            self.early.append((job.ref, due_ms))
        if self.ends_at_once:
            loop = asyncio.get_running_loop()
            loop.call_soon(self.engine.finished, job.ref, CLOCK.now_ms())

    def _skip(self, job: Job, due_ms: int) -> None:
        self.skipped.append((job.ref, due_ms))

    def _keep_back(self, job: Job, due_ms: int, withheld: Withheld) -> None:
        self.kept_back.append((job.ref, due_ms, withheld.detail))


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
    first = due_of(job).next_after(CLOCK.now_ms())
    assert first is not None
    rig.engine.add(job, next_ms=first, running=running)
    return first


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
    for number, each in enumerate(jobs):
        rig.engine.add(each, next_ms=now_ms + number, running=False)
    rig.engine.start()
    await probe.until(lambda: len(rig.fired) == 3)

    assert [(each.ref, now_ms + n) for n, each in enumerate(jobs)] == rig.fired


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
    rig.engine.finished("acme/import", CLOCK.now_ms())
    await probe.until(lambda: len(rig.fired) == 2)

    assert rig.fired[1][1] > rig.skipped[-1][1]


async def test_one_job_does_not_hold_up_another(rig: Rig) -> None:
    """A job whose run is not over is no hindrance for other jobs."""
    add(rig, job("acme/stuck", every="100ms"))
    add(rig, job("acme/lively", every="100ms"))
    rig.engine.start()
    for count in (1, 2, 3):
        await probe.until(partial(has_fired, rig, "acme/lively", count))
        rig.engine.finished("acme/lively", CLOCK.now_ms())

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

    ended_ms = CLOCK.now_ms()
    rig.engine.finished(after.ref, ended_ms)

    assert ended_ms + 100 == rig.engine.next_ms(after.ref)

    await probe.until(lambda: (after.ref, ended_ms + 100) in rig.fired)

    assert [] == rig.early


async def test_adopted_run(rig: Rig) -> None:
    """A run that was in flight before the start keeps its job from firing until it is over."""
    add(rig, job(every="100ms"), running=True)
    rig.engine.start()
    await probe.until(lambda: rig.skipped)

    assert [] == rig.fired

    rig.engine.finished("acme/import", CLOCK.now_ms())
    await probe.until(lambda: rig.fired)


async def test_adopted_run_of_a_fixed_delay(rig: Rig) -> None:
    """A fixed delay whose run was in flight before the start is due when that run has ended."""
    rig.engine.add(job(after="100ms"), next_ms=None, running=True)
    rig.engine.start()

    assert rig.engine.next_ms("acme/import") is None

    ended_ms = CLOCK.now_ms()
    rig.engine.finished("acme/import", ended_ms)
    await probe.until(lambda: rig.fired)

    assert [("acme/import", ended_ms + 100)] == rig.fired
    assert [] == rig.skipped


async def test_unknown_and_repeated_ends(rig: Rig) -> None:
    """The end of an unknown job's run, or of the same run again, frees nothing twice."""
    first = add(rig, job(every="100ms"))
    rig.engine.start()
    for ref in ("acme/import", "nobody/nothing", "acme/import"):
        rig.engine.finished(ref, CLOCK.now_ms())
    await probe.until(lambda: rig.skipped)

    assert [("acme/import", first)] == rig.fired


async def test_stall(rig: Rig) -> None:
    """What was missed while nothing could be fired is fired once, as the last of it."""
    rate = job(every="100ms")
    last = due_of(rate).last_until(CLOCK.now_ms())
    assert last is not None
    rig.engine.add(rate, next_ms=last - 1_000, running=False)
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
    rig.engine.add(rate, next_ms=last - 10 * FAR, running=True)
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
    rig.engine.add(job("acme/delay", after="100ms"), next_ms=CLOCK.now_ms(), running=False)
    rig.engine.start()
    await probe.until(lambda: len(rig.fired) == 2)
    rig.engine.stop()
    await probe.until(lambda: rig.engine.next_ms("acme/rate") is None)
    rig.engine.finished("acme/delay", CLOCK.now_ms())
    rig.engine.finished("acme/rate", CLOCK.now_ms())
    rig.engine.stop()

    assert 2 == len(rig.fired)


async def test_stop_before_start(rig: Rig) -> None:
    """An engine that never started can be stopped."""
    rig.engine.add(job(every="1h"), next_ms=CLOCK.now_ms() + FAR, running=False)
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
    rig.engine.add(each, next_ms=due, running=False)
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
    rig.engine.add(each, next_ms=last - 5 * FAR, running=False)
    rig.engine.start()
    await probe.until(lambda: rig.fired)
    (fired,) = rig.fired

    assert blackout_at(each, fired[1]) is None
    assert blackout_at(each, fired[1] + FAR) is not None
    assert [] == rig.kept_back


async def test_once(rig: Rig) -> None:
    """A single time is fired once; the end of its run, and a stop, find nothing left to do."""
    at = clock.utc(CLOCK.now_ms() + 1_000)
    each = job(at=f"{at:%Y-%m-%d %H:%M:%S}")
    first = add(rig, each)
    add(rig, job("acme/rate", every="100ms"))
    rig.engine.start()
    await probe.until(lambda: (each.ref, first) in rig.fired)
    rig.engine.finished(each.ref, CLOCK.now_ms())
    seen = len(rig.skipped)
    await probe.until(lambda: len(rig.skipped) > seen + 2)  # some time

    assert has_fired(rig, each.ref, 1)
    assert rig.engine.next_ms(each.ref) is None

    rig.engine.remove(each.ref)


async def test_once_too_late(rig: Rig) -> None:
    """A single time that has passed when its job is added is never fired."""
    rig.engine.add(job(at="2026-01-01 00:00"), next_ms=None, running=False)
    rig.engine.start()

    assert rig.engine.next_ms("acme/import") is None
    assert [] == rig.fired


PAUSED = Withheld(Outcome.PAUSED, "acme by ann@ops", 0, NEVER_MS)


async def test_fixed_delay_that_is_paused(rig: Rig) -> None:
    """A fixed delay whose pause has no end is due as soon as somebody says that it is over."""
    rig.closed.append(PAUSED)
    rig.engine.start()
    rig.engine.add(job(after="100ms"), next_ms=CLOCK.now_ms(), running=False)
    await probe.until(lambda: rig.kept_back)
    rig.engine.look_again(CLOCK.now_ms())

    assert rig.engine.next_ms("acme/import") is None
    rig.closed.clear()
    now_ms = CLOCK.now_ms()
    rig.engine.look_again(now_ms)
    await probe.until(lambda: rig.fired)
    assert [("acme/import", now_ms)] == rig.fired
    rig.engine.look_again(CLOCK.now_ms())
    assert rig.engine.next_ms("acme/import") is None


async def test_fixed_delay_that_becomes_a_rate(rig: Rig) -> None:
    """A job that was a paused fixed delay, and is so no more, is due by its new schedule alone."""
    rig.closed.append(PAUSED)
    rig.engine.start()
    rig.engine.add(job(after="100ms"), next_ms=CLOCK.now_ms(), running=False)
    await probe.until(lambda: rig.kept_back)
    due_ms = CLOCK.now_ms() + FAR
    rig.engine.retime(job(every="1h"), next_ms=due_ms)
    rig.closed.clear()
    rig.engine.look_again(CLOCK.now_ms())

    assert due_ms == rig.engine.next_ms("acme/import")
