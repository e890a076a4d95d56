"""The coming fire times of a job are shown in its zone and in UTC, and why there may be none."""

import pytest

from rota.common.job import Job
from rota.scheduler.preview import describe, preview
from rota.scheduler.schedule import phase
from tests.support.definitions import job
from tests.support.moment import ms

NOW = ms("2026-10-24T12:00")


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (job(cron="0 3 * * *"), "cron 0 3 * * *"),
        (job(every="1h30m"), "every 1h30m"),
        (job(every="90s"), "every 1m30s"),
        (job(after="500ms"), "after 500ms"),
    ],
)
def test_description(each: Job, expected: str) -> None:
    """A schedule is described as one writes it."""
    assert expected == describe(each)


def test_over_a_clock_change() -> None:
    """Each time carries the offset that is in force then."""
    shown = preview(job(cron="0 3 * * *", timezone="Europe/Berlin"), NOW, 2)

    assert [
        ("2026-10-25T03:00:00+01:00", "2026-10-25T02:00:00Z"),
        ("2026-10-26T03:00:00+01:00", "2026-10-26T02:00:00Z"),
    ] == [(time.local, time.utc) for time in shown.times]
    assert ("acme/import", "Europe/Berlin", "") == (shown.job, shown.timezone, shown.note)

    before = preview(job(cron="0 3 * * *", timezone="Europe/Berlin"), ms("2026-10-23T12:00"), 1)

    assert "2026-10-24T03:00:00+02:00" == before.times[0].local


def test_fixed_rate() -> None:
    """A fixed rate is due at its own place in the period, told to the millisecond if need be."""
    shown = preview(job(every="1s"), NOW, 3)
    place = phase("acme/import", 1_000)

    assert [f"2026-10-24T12:00:0{n}.{place:03}Z" for n in range(3)] == [t.utc for t in shown.times]
    assert [f"2026-10-24T12:00:0{n}.{place:03}+00:00" for n in range(3)] == [
        time.local for time in shown.times
    ]


def test_as_many_as_asked_for() -> None:
    """There are as many times as were asked for, each later than the one before."""
    times = [time.utc for time in preview(job(cron="*/5 * * * *"), NOW, 500).times]

    assert 500 == len(times)
    assert sorted(set(times)) == times
    assert "2026-10-24T12:05:00Z" == times[0]


def test_fixed_delay() -> None:
    """A fixed delay has no times to tell, and says why."""
    shown = preview(job(after="1h30m"), NOW, 10)

    assert [] == shown.times
    assert "1h30m after its last run has ended" in shown.note


def test_never_again() -> None:
    """A job whose times have run out says so."""
    shown = preview(job(cron="0 3 * * *"), ms("9100-01-01T00:00"), 10)

    assert [] == shown.times
    assert "never due again" == shown.note
