"""Crontab jobs in time zones, above all where the clocks change."""

from datetime import date, timedelta

import pytest

from rota.scheduler import zone as zones
from rota.scheduler.local import AS_SHOWN, ONCE
from tests.support.definitions import cron_due
from tests.support.moment import DAY, MINUTE, ms, text
from tests.support.wall_clock import FIXED, REAL, Watch

CHANGES = [
    ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
]


def due(expression: str, zone: str, start: int, end: int) -> list[int]:
    """Return the due times from `start` on and before `end`."""
    cron, found = cron_due(expression, zone), []
    moment = cron.next_after(start - 1)
    while moment is not None and moment < end:
        found.append(moment)
        moment = cron.next_after(moment)
    return found


def test_skipped_time() -> None:
    """02:30 in the night that has none is due once, when the clock jumps from 02:00 to 03:00."""
    found = due("30 2 * * *", "Europe/Berlin", ms("2026-03-28"), ms("2026-03-31"))

    assert [
        "2026-03-28T02:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ] == [text(each, "Europe/Berlin") for each in found]


def test_skipped_times_come_together() -> None:
    """Several skipped times are one due time, and one that is due at the jump anyway joins them."""
    start, end = ms("2026-03-29T00:00"), ms("2026-03-29T03:00")
    found = due("0,20,40 2,3 * * *", "Europe/Berlin", start, end)

    assert [
        "2026-03-29T03:00+02:00",
        "2026-03-29T03:20+02:00",
        "2026-03-29T03:40+02:00",
    ] == [text(each, "Europe/Berlin") for each in found]


def test_repeated_time() -> None:
    """02:30 in the night that has two is due once, the first time round."""
    found = due("30 2 * * *", "Europe/Berlin", ms("2026-10-24"), ms("2026-10-27"))

    assert [
        "2026-10-24T02:30+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ] == [text(each, "Europe/Berlin") for each in found]


@pytest.mark.parametrize(
    ("zone", "start", "expected"),
    [
        ("America/New_York", "2026-03-08T05:00", "2026-03-08T03:00-04:00"),
        ("America/New_York", "2026-11-01T04:00", "2026-11-01T02:30-05:00"),
        ("Australia/Lord_Howe", "2026-10-03T13:30", "2026-10-04T02:30+11:00"),
        ("Asia/Kathmandu", "2026-10-03T13:30", "2026-10-04T02:30+05:45"),
        ("Asia/Kolkata", "2026-10-03T13:30", "2026-10-04T02:30+05:30"),
        ("UTC", "2026-03-29T00:00", "2026-03-29T02:30+00:00"),
    ],
)
def test_half_past_two(zone: str, start: str, expected: str) -> None:
    """A nightly job is due at its time on the wall, whatever the zone's offset is made of."""
    after = cron_due("30 2 * * *", zone).next_after(ms(start))
    assert after is not None

    assert expected == text(after, zone)


def test_half_hour_change() -> None:
    """Where the clock goes back by half an hour, no quarter is left out, and some come twice."""
    found = due("*/15 1,2 * * *", "Australia/Lord_Howe", ms("2026-04-04T14:00"), ms("2026-04-05"))

    assert [
        "01:00+11:00",
        "01:15+11:00",
        "01:30+11:00",
        "01:45+11:00",
        "01:30+10:30",
        "01:45+10:30",
        "02:00+10:30",
        "02:15+10:30",
        "02:30+10:30",
        "02:45+10:30",
    ] == [text(each, "Australia/Lord_Howe")[11:] for each in found]


@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_every_quarter(zone: str, change: str) -> None:
    """`*/15 * * * *` is due every 15 minutes of real time, through every change."""
    start, end = ms(change) - DAY, ms(change) + DAY

    assert list(range(start, end, 15 * MINUTE)) == due("*/15 * * * *", zone, start, end)


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@pytest.mark.parametrize("hour", range(4))
def test_once_a_day(zone: str, change: str, hour: int) -> None:
    """A daily job is due exactly once on each local day, also on those of 23 and 25 hours."""
    found = due(f"10 {hour} * * *", zone, ms(change) - 5 * DAY, ms(change) + 5 * DAY)
    dates = [date.fromisoformat(text(each, zone)[:10]) for each in found]

    assert 9 <= len(dates)
    assert [dates[0] + timedelta(days=n) for n in range(len(dates))] == dates


@pytest.mark.parametrize(
    ("zone", "expression"),
    [("Europe/Berlin", "*/10 2 * * *"), ("Australia/Lord_Howe", "0,20,40 0-3 * * *")],
)
def test_a_year_by_the_minute(zone: str, expression: str) -> None:
    """For a whole year, due times are those found by watching a clock minute by minute."""
    start, end = ms("2026-01-01"), ms("2027-01-01")
    rule = (FIXED | REAL)[expression]
    gap, fold = ONCE if expression in FIXED else AS_SHOWN

    assert Watch(zone, start, end).due(rule, gap, fold) == due(expression, zone, start, end)


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berlim",
        "Europe",
        "",
        "../UTC",
        "/etc/localtime",
        "right/UTC",
        "localtime",
        "a" * 999,
    ],
)
def test_unknown_zone(zone: str) -> None:
    """A name that is no IANA zone on every machine is refused, with an example of one."""
    with pytest.raises(ValueError, match=r"unknown time zone '.*'; write an IANA name, such as Eu"):
        zones.load(zone)
