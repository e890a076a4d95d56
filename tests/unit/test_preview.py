"""The coming fire times of a job are shown in its zone and in UTC, and why there may be none."""

import pytest

from rota.common.job import Blackout, Job
from rota.scheduler.preview import describe, preview, table
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
        (job(at="2026-12-24 18:00"), "at 2026-12-24 18:00"),
        (job(between="mon-fri 02:00..04:00"), "between mon-fri 02:00..04:00"),
        (job(every="1h", phase_ms=0, jitter_ms=30_000), "every 1h phase 0s jitter 30s"),
        (job(every="1h", phase_ms=300_000), "every 1h phase 5m"),
        (job(cron="0 3 * * *", jitter_ms=60_000), "cron 0 3 * * * jitter 1m"),
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


def test_once() -> None:
    """A single time is shown while it lies ahead; then it is said that it has passed."""
    each = job(at="2026-10-25 02:30", timezone="Europe/Berlin", fold="both")
    shown = preview(each, NOW, 10)

    assert ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"] == [
        time.local for time in shown.times
    ]
    assert "" == shown.note
    assert "never due again: its time has passed" == preview(each, ms("2026-10-26"), 1).note


def test_a_time_that_never_comes() -> None:
    """A single time that the clock skips, and that is not to run after, is said to be skipped."""
    each = job(at="2026-03-29 02:30", timezone="Europe/Berlin", gap="skip")

    assert "never due: the clock of its zone skips its time" == preview(each, NOW, 1).note


def test_blackouts_are_marked() -> None:
    """Occurrences in a blackout are shown as such, with its reason; others have no mark."""
    blackouts = (Blackout(between="sun 00:00..24:00", reason="rest"),)
    shown = preview(job(cron="0 3 * * *", blackouts=blackouts), NOW, 2)

    assert [("2026-10-25T03:00:00Z", "sun 00:00..24:00 (rest)"), ("2026-10-26T03:00:00Z", "")] == [
        (time.utc, time.blackout) for time in shown.times
    ]
    assert ("UTC", "UTC", "BLACKOUT") == table(shown)[0]
    assert ("UTC", "UTC") == table(preview(job(cron="0 3 * * *"), NOW, 2))[0]
