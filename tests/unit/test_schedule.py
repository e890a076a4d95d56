"""When jobs are due: fixed rates, fixed delays, and the choice between them and crontabs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.common.job import Job, Schedule
from rota.scheduler import schedule
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
