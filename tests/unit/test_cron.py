"""Crontab jobs in time zones, above all where the clocks change."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.scheduler.cron import Cron
from tests.support.moment import DAY, HOUR, MINUTE, ms, text

WINDOW = 4 * HOUR  # on both sides of a clock change; the largest change is one of two hours

Rule = Callable[[datetime], bool]

# What is due, as a plain reading of each expression. Those that name times of day are due once.
FIXED: dict[str, Rule] = {
    "30 2 * * *": lambda t: (t.hour, t.minute) == (2, 30),
    "0,20,40 0-3 * * *": lambda t: t.hour <= 3 and t.minute in (0, 20, 40),
    "15 23,0,1 * * SUN,4": lambda t: (
        t.hour in (23, 0, 1) and t.minute == 15 and t.isoweekday() in (4, 7)
    ),
}
REAL: dict[str, Rule] = {
    "*/15 * * * *": lambda t: t.minute % 15 == 0,
    "*/10 2 * * *": lambda t: t.hour == 2 and t.minute % 10 == 0,
    "45 */2 * * *": lambda t: t.minute == 45 and t.hour % 2 == 0,
    "* 0,3 * * 0": lambda t: t.hour in (0, 3) and t.isoweekday() == 7,
}
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
    cron, found = Cron(expression, zone), []
    moment = cron.next_after(start - 1)
    while moment is not None and moment < end:
        found.append(moment)
        moment = cron.next_after(moment)
    return found


def reckon(rule: Rule, zone: str, start: int, end: int, *, once: bool) -> list[int]:
    """Return what `due` should, found by watching a clock on the wall minute by minute.

    With `once`, a time counts when the clock first shows it or jumps over it.
    """
    found, info = [], ZoneInfo(zone)
    shown = datetime.fromtimestamp((start - MINUTE) // 1000, info).replace(tzinfo=None)
    for minute in range(start, end, MINUTE):
        wall = datetime.fromtimestamp(minute // 1000, info).replace(tzinfo=None)
        new = minutes(shown, wall) if once else [wall]
        if any(rule(each) for each in new):
            found.append(minute)
        shown = max(shown, wall)
    return found


def minutes(shown: datetime, wall: datetime) -> Iterator[datetime]:
    """Yield the minutes after `shown`, up to `wall`."""
    while shown < wall:
        shown += timedelta(minutes=1)
        yield shown


def changes(zone: str) -> list[int]:
    """Return the clock changes of a zone from 2020 to 2030, to the minute."""
    info = ZoneInfo(zone)

    @cache
    def offset(at: int) -> timedelta | None:
        return datetime.fromtimestamp(at // 1000, UTC).astimezone(info).utcoffset()

    found = []
    for day in range(ms("2020-01-01"), ms("2031-01-01"), DAY):
        if offset(day) != offset(day + DAY):
            hour = next(h for h in range(day, day + DAY, HOUR) if offset(h) != offset(h + HOUR))
            found.append(
                next(m for m in range(hour, hour + HOUR + 1, MINUTE) if offset(m) != offset(hour))
            )
    return found


@cache
def changing_zones() -> dict[str, list[int]]:
    """Return the changes of one zone for each different series of changes, by name."""
    names: dict[tuple[tuple[int, ...], tuple[str, ...]], str] = {}
    for zone in sorted(available_timezones()):
        if zone.startswith(("posix", "right", "localtime")):
            continue
        if series := changes(zone):
            offsets = tuple(text(each, zone)[16:] for each in series)
            names.setdefault((tuple(series), offsets), zone)
    return {zone: list(series) for (series, _), zone in names.items()}


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
    after = Cron("30 2 * * *", zone).next_after(ms(start))
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
    rule, once = (FIXED | REAL)[expression], expression in FIXED

    assert reckon(rule, zone, start, end, once=once) == due(expression, zone, start, end)


def test_every_zone() -> None:
    """Around every clock change of 2020 to 2030, all zones agree with watching a clock."""
    wrong = []
    for zone, series in changing_zones().items():
        for change in series[:: max(1, len(series) // 5)]:
            start, end = change - WINDOW, change + WINDOW
            for expression, rule in (FIXED | REAL).items():
                expected = reckon(rule, zone, start, end, once=expression in FIXED)
                if expected != due(expression, zone, start, end):
                    wrong.append((expression, text(change, zone), zone))

    assert [] == wrong
    assert 30 < len(changing_zones())  # there is a zone database to speak of


def test_back_and_forth() -> None:
    """Looking back from any minute around a change finds the latest of the times found forward."""
    wrong = []
    for zone, series in changing_zones().items():
        start, end = series[-1] - WINDOW, series[-1] + WINDOW
        for expression in FIXED | REAL:
            cron, known = Cron(expression, zone), due(expression, zone, start, end)
            wrong += [
                (expression, text(minute, zone), zone)
                for minute in range(known[0] if known else end, end, 7 * MINUTE + 1)
                if cron.last_until(minute) != known[bisect_right(known, minute) - 1]
            ]

    assert [] == wrong


@settings(deadline=None)
@given(
    st.deferred(lambda: st.sampled_from(sorted(changing_zones()))),
    st.sampled_from([*FIXED, *REAL, "0 12 L * *", "* * 29 2 *", "5 4 1 */3 MON#1"]),
    st.integers(ms("2020-01-01"), ms("2040-01-01")),
)
def test_neighbours(zone: str, expression: str, moment: int) -> None:
    """The due times around any millisecond, one at or before it and one after, are neighbours."""
    cron = Cron(expression, zone)
    after, until = cron.next_after(moment), cron.last_until(moment)
    assert after is not None
    assert until is not None

    assert until <= moment < after
    assert after == cron.next_after(until)
    assert until == cron.last_until(after - 1)
    assert after == cron.last_until(after)


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
        Cron("@daily", zone)
