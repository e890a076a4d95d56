"""When jobs are due: fixed rates, fixed delays, and the choice between them and crontabs."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from rota.common.job import Blackout, Job, Schedule
from rota.scheduler import schedule
from rota.scheduler.blackout import blackout_at
from tests.support.moment import HOUR, MINUTE, ms, text

MOMENTS = st.integers(0, 4 * 10**12)
PERIODS = st.integers(1, 366 * 24 * HOUR)


def job(spec: Schedule, name: str = "import-orders") -> Job:
    """Return a job on that schedule."""
    return Job(tenant="acme", name=name, group="gold", handler="orders.import", schedule=spec)


def test_phase_is_lasting() -> None:
    """A job's phase never changes: not between processes, machines or releases."""
    refs = ["acme/import-orders", "acme/sync-crm", "globex/import-orders"]

    assert [262_512, 577_549, 109_923] == [schedule.phase(ref, 15 * MINUTE) for ref in refs]


def test_phase_is_even() -> None:
    """Thousands of tenants with the same rate are spread evenly over the period."""
    buckets, count = 60, 6_000
    found = [0] * buckets
    for tenant in range(count):
        found[schedule.phase(f"tenant-{tenant:04}/sync", HOUR) * buckets // HOUR] += 1
    expected = count / buckets
    deviation = sum((each - expected) ** 2 / expected for each in found)

    assert 98.3 > deviation  # chi-square, 59 degrees of freedom: one in a thousand lies above


def test_tenants_jobs_are_apart() -> None:
    """Jobs of one tenant with the same rate don't share a phase."""
    phases = {schedule.phase(f"acme/job-{n}", HOUR) for n in range(20)}

    assert 20 == len(phases)


@given(MOMENTS, PERIODS, st.data())
def test_every(moment: int, period: int, data: st.DataObject) -> None:
    """A fixed rate is due at its phase, once a period, and forward and back agree."""
    phase = data.draw(st.integers(0, period - 1))
    every = schedule.Every(period, phase)
    after, until = every.next_after(moment), every.last_until(moment)

    assert until <= moment < after
    assert period == after - until
    assert phase == after % period
    assert after == every.last_until(after)
    assert after == every.next_after(until)


def test_restart_keeps_the_rate() -> None:
    """Where a fixed rate is reckoned from makes no difference to the times that follow."""
    due = schedule.due_of(job(Schedule(kind="every", period_ms=15 * MINUTE)))
    first = due.next_after(ms("2026-11-23T00:00"))
    assert first is not None

    assert first + 15 * MINUTE == due.next_after(first)
    assert first + 15 * MINUTE == due.next_after(first + 14 * MINUTE)


@given(MOMENTS, PERIODS)
def test_after(moment: int, period: int) -> None:
    """A fixed delay is due a period after the end of the last run, and never before one ended."""
    due = schedule.due_of(job(Schedule(kind="after", period_ms=period)))

    assert moment + period == due.next_after(moment)
    assert due.last_until(moment) is None


def test_cron_of_a_job() -> None:
    """A crontab job is due by the clocks of its own zone."""
    spec = Schedule(kind="cron", cron="0 6 1 * *", timezone="Europe/Berlin")
    found = schedule.upcoming(job(spec), ms("2026-11-23T00:00"), 3)

    assert ["2026-12-01T05:00", "2027-01-01T05:00", "2027-02-01T05:00"] == [
        text(each)[:16] for each in found
    ]


@pytest.mark.parametrize("phase_ms", [0, 5 * MINUTE, 15 * MINUTE - 1])
def test_phase_of_ones_own(phase_ms: int) -> None:
    """A phase that is given is counted from 1970-01-01 00:00 UTC, and is the same for all jobs."""
    spec = Schedule(kind="every", period_ms=15 * MINUTE, phase_ms=phase_ms)
    midnight = ms("2026-11-23T00:00")
    found = {schedule.upcoming(job(spec, f"job-{n}"), midnight - 1, 1)[0] for n in range(9)}

    assert {midnight + phase_ms} == found


@pytest.mark.parametrize(
    "spec",
    [
        Schedule(kind="cron", cron="0 3 * * *", jitter_ms=10 * MINUTE),
        Schedule(kind="cron", cron="* * * * *", jitter_ms=10 * MINUTE),  # longer than the distance
        Schedule(kind="cron", cron="30 2 * * *", timezone="Europe/Berlin", jitter_ms=HOUR),
        Schedule(kind="every", period_ms=HOUR, jitter_ms=10 * MINUTE),
        Schedule(kind="every", period_ms=HOUR, phase_ms=0, jitter_ms=10 * MINUTE),
        Schedule(kind="at", at="2026-12-24 18:00", jitter_ms=10 * MINUTE),
    ],
)
def test_jitter(spec: Schedule) -> None:
    """All occurrences of a job are later by one length, below the jitter; distances stay."""
    plain = structs.replace(spec, jitter_ms=0)
    start = ms("2026-03-20T00:00")
    shifts = set()
    for n in range(200):
        sharp = schedule.upcoming(job(plain, f"job-{n}"), start, 40)
        found = schedule.upcoming(job(spec, f"job-{n}"), sharp[0], len(sharp))
        own = {late - at for late, at in zip(found, sharp, strict=True)}
        shifts |= own

        assert 1 == len(own) or spec.cron == "* * * * *"

    assert 0 <= min(shifts)
    assert max(shifts) < spec.jitter_ms
    assert 190 < len(shifts) or spec.cron == "* * * * *"


def test_jitter_is_even() -> None:
    """Thousands of tenants with the same jitter are spread evenly, whatever place they have."""
    spec = Schedule(kind="cron", cron="0 3 * * *", jitter_ms=30_000)
    buckets, count = 60, 6_000
    found = [0] * buckets
    for n in range(count):
        due = schedule.upcoming(job(spec, f"job-{n}"), ms("2026-11-23"), 1)[0]
        found[(due - ms("2026-11-23T03:00")) * buckets // 30_000] += 1
    expected = count / buckets
    deviation = sum((each - expected) ** 2 / expected for each in found)

    assert 98.3 > deviation  # chi-square, 59 degrees of freedom: one in a thousand lies above


def test_jitter_and_place_are_independent() -> None:
    """The share of the jitter says nothing about the place in a period: both spread together."""
    spec = Schedule(kind="every", period_ms=HOUR, jitter_ms=30 * MINUTE)
    buckets, count = 60, 6_000
    found = [0] * buckets
    for n in range(count):
        found[schedule.upcoming(job(spec, f"job-{n}"), 0, 1)[0] % HOUR * buckets // HOUR] += 1
    expected = count / buckets
    deviation = sum((each - expected) ** 2 / expected for each in found)

    assert 98.3 > deviation


def test_a_year_of_500_jobs() -> None:
    """A year of 500 jobs of all kinds, with blackouts, is reckoned in seconds."""
    start, end = ms("2026-01-01"), ms("2027-01-01")
    blackouts = (Blackout(between="mon-fri 08:00..18:00"),)
    specs = [
        Schedule(kind="cron", cron="30 2 * * *", timezone="Europe/Berlin", fold="both"),
        Schedule(kind="cron", cron="*/30 */6 * * *", timezone="America/New_York"),
        Schedule(kind="between", between="mon-fri 22:00..02:00", timezone="Asia/Tokyo"),
        Schedule(kind="every", period_ms=3 * HOUR, jitter_ms=MINUTE, timezone="Europe/London"),
        Schedule(kind="at", at="2026-10-25 01:30", timezone="Europe/London", fold="second"),
    ]
    spent, dues, kept_back = time.process_time(), 0, 0
    for n in range(500):
        each = structs.replace(job(specs[n % 5], f"job-{n}"), blackouts=blackouts)
        due = schedule.due_of(each)
        moment = due.next_after(start - 1)
        while moment is not None and moment < end:
            dues += 1
            kept_back += blackout_at(each, moment) is not None
            moment = due.next_after(moment)

    assert 100 * (365 + 365 * 8 + 260 + 365 * 8) < dues < 100 * (367 + 366 * 8 + 262 + 365 * 8 + 1)
    assert 0.2 < kept_back / dues < 0.4
    assert 30 > time.process_time() - spent


def test_upcoming_every() -> None:
    """The coming times of a fixed rate are a period apart, and as many as asked for."""
    found = schedule.upcoming(job(Schedule(kind="every", period_ms=MINUTE)), 0, 5)

    assert [found[0] + n * MINUTE for n in range(5)] == found
    assert 0 < found[0] <= MINUTE


def test_upcoming_after() -> None:
    """No coming times are made up for a fixed delay, which depends on completions."""
    assert [] == schedule.upcoming(job(Schedule(kind="after", period_ms=MINUTE)), 0, 5)


@pytest.mark.parametrize("count", [0, -1])
def test_upcoming_none(count: int) -> None:
    """Nothing asked for is nothing found."""
    assert [] == schedule.upcoming(job(Schedule(kind="cron", cron="* * * * *")), 0, count)


def test_upcoming_at_the_end_of_time() -> None:
    """Where the calendar ends, fewer times are returned than asked for."""
    spec = Schedule(kind="cron", cron="0 0 1 1 *")
    found = schedule.upcoming(job(spec), ms("8997-06-01"), 10)

    assert ["8998-01-01T00:00", "8999-01-01T00:00", "9000-01-01T00:00"] == [
        text(each)[:16] for each in found
    ]


@pytest.mark.parametrize("kind", ["every", "after"])
def test_no_period(kind: str) -> None:
    """A period of nothing is refused, rather than due for ever."""
    spec = Schedule(kind="every" if kind == "every" else "after")
    with pytest.raises(ValueError, match="a period of 0 ms is too short; at least 1 ms is needed"):
        schedule.due_of(job(spec))


@pytest.mark.parametrize("phase", [-1, 1000])
def test_phase_outside_of_period(phase: int) -> None:
    """A phase that the period doesn't have is refused."""
    with pytest.raises(ValueError, match="lies outside of the period, 1000 ms"):
        schedule.Every(1000, phase)


@settings(deadline=None)
@given(st.sampled_from(["* * * * *", "30 2 * * *", "0 0 31 * *", "@yearly"]), MOMENTS)
def test_always_onward(expression: str, moment: int) -> None:
    """Following the due times of a crontab never returns the same or an earlier time."""
    spec = Schedule(kind="cron", cron=expression, timezone="America/New_York")
    found = schedule.upcoming(job(spec), moment, 20)

    assert moment < found[0]
    assert sorted(set(found)) == found
    assert 20 == len(found)
