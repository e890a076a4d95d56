"""What a crontab expression means, and what is told to whoever gets one wrong."""

import re
import time
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.scheduler import schedule
from tests.support.definitions import cron_due
from tests.support.moment import DAY, MINUTE, ms, text

VALID = ["*", "*/5", "1", "31", "0-3"] * 4 + ["L", "LW", "5L", "MON#2", "FEB", "2/3"]
ANYTHING = st.text(alphabet="0123456789*,-/#L W?MONJAFRI@²", max_size=12)
FIELDS = st.lists(st.sampled_from(VALID), min_size=5, max_size=5)


def fires(expression: str, start: str, count: int, zone: str = "UTC") -> list[str]:
    """Return the first due times strictly after `start`, as local dates and times."""
    cron, moment, found = cron_due(expression, zone), ms(start), []
    for _ in range(count):
        after = cron.next_after(moment)
        assert after is not None
        found.append(text(after, zone)[:16])
        moment = after
    return found


def days(expression: str, start: str, count: int) -> list[str]:
    """Return the first dates on or after `start` on which a job at midnight is due."""
    return [each[:10] for each in fires(f"0 0 {expression}", f"{start}T00:00+00:01", count)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * 0", ["2026-11-22", "2026-11-29"]),
        ("* * 7", ["2026-11-22", "2026-11-29"]),
        ("* * SUN", ["2026-11-22", "2026-11-29"]),
        ("* * 1", ["2026-11-23", "2026-11-30"]),
        ("* * mon", ["2026-11-23", "2026-11-30"]),
        ("* * 6,7", ["2026-11-21", "2026-11-22", "2026-11-28"]),
        ("* * 5-7", ["2026-11-20", "2026-11-21", "2026-11-22", "2026-11-27"]),
        ("* * TUE-THU", ["2026-11-17", "2026-11-18", "2026-11-19", "2026-11-24"]),
    ],
)
def test_weekdays(expression: str, expected: list[str]) -> None:
    """Sunday is 0 and 7, Monday is 1: crontab's numbers, not Python's."""
    assert expected == days(expression, "2026-11-17", len(expected))  # a Tuesday


def test_working_days() -> None:
    """1-5 is Monday to Friday: from a Saturday on, the next run is on Monday."""
    found = fires("0 9 * * 1-5", "2026-11-21T00:00", 6)

    assert [
        "2026-11-23T09:00",
        "2026-11-24T09:00",
        "2026-11-25T09:00",
        "2026-11-26T09:00",
        "2026-11-27T09:00",
        "2026-11-30T09:00",
    ] == found


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        # Day of month and day of week both given: either will do.
        ("13 * 5", "2026-11-01", ["2026-11-06", "2026-11-13", "2026-11-20", "2026-11-27"]),
        ("1 * MON", "2026-11-28", ["2026-11-30", "2026-12-01", "2026-12-07"]),
        ("30 2 MON", "2027-01-01", ["2027-02-01", "2027-02-08"]),
        # One of them starts with a star: both must match.
        ("*/10 * MON", "2026-11-01", ["2026-12-21", "2027-01-11", "2027-02-01"]),
        # The last day, the last working day, the last and the n-th of a weekday.
        ("L * *", "2027-01-15", ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"]),
        ("L 2 *", "2027-01-15", ["2027-02-28", "2028-02-29"]),
        ("15,L 2 *", "2027-01-15", ["2027-02-15", "2027-02-28", "2028-02-15", "2028-02-29"]),
        ("LW * *", "2026-10-01", ["2026-10-30", "2026-11-30", "2026-12-31", "2027-01-29"]),
        ("* * 5L", "2026-11-01", ["2026-11-27", "2026-12-25", "2027-01-29"]),
        ("* * MON#2", "2026-11-01", ["2026-11-09", "2026-12-14", "2027-01-11"]),
        ("* * 0#5", "2026-11-01", ["2026-11-29", "2027-01-31", "2027-05-30"]),
        ("* * 7#1", "2026-11-02", ["2026-12-06", "2027-01-03"]),
        # Months, names and steps.
        ("1 JAN,jul *", "2026-11-01", ["2027-01-01", "2027-07-01"]),
        ("1 */4 *", "2026-11-01", ["2027-01-01", "2027-05-01", "2027-09-01"]),
        ("20/5 10-12 *", "2026-11-24", ["2026-11-25", "2026-11-30", "2026-12-20"]),
        ("31 * *", "2027-01-31", ["2027-01-31", "2027-03-31", "2027-05-31"]),
        # Leap days, also where a century has none, and on a given weekday.
        ("29 2 *", "2026-11-01", ["2028-02-29", "2032-02-29"]),
        ("29 2 *", "2096-03-01", ["2104-02-29"]),
        ("* 2 MON#5", "2026-11-01", ["2044-02-29", "2072-02-29"]),
        ("* 2 MON#5", "2072-03-01", ["2112-02-29"]),
    ],
)
def test_days(expression: str, start: str, expected: list[str]) -> None:
    """Days are chosen as crontab(5) has it, with `L`, `LW` and `#` besides."""
    assert expected == days(expression, start, len(expected))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 6 * * *", ["06:00", "06:20", "06:40", "06:00"]),
        ("5-10/3 6 * * *", ["06:05", "06:08", "06:05"]),
        ("50/4 6 * * *", ["06:50", "06:54", "06:58", "06:50"]),
        ("0,59 22-23 * * *", ["22:00", "22:59", "23:00", "23:59", "22:00"]),
        ("7 */9 * * *", ["09:07", "18:07", "00:07"]),
    ],
)
def test_times(expression: str, expected: list[str]) -> None:
    """Lists, ranges and steps in minutes and hours mean what crontab(5) says."""
    found = fires(expression, "2026-11-23T03:00", len(expected))

    assert expected == [each[11:] for each in found]


@pytest.mark.parametrize(
    ("shorthand", "full"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@Annually", "0 0 1 1 *"),
    ],
)
def test_shorthands(shorthand: str, full: str) -> None:
    """A shorthand is due when the five fields that it stands for are."""
    expected = fires(full, "2026-11-23T03:00", 3)

    assert expected == fires(shorthand, "2026-11-23T03:00", 3)


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("61 * * * *", "minute field '61': allowed are 0-59;"),
        ("0,15,60 * * * *", "minute field '0,15,60': allowed are 0-59;"),
        ("0 24 * * *", "hour field '24': allowed are 0-23;"),
        ("0 0 0 * *", "day-of-month field '0': allowed are 1-31, L for the last day,"),
        ("0 0 * 13 *", "month field '13': allowed are 1-12 or JAN-DEC;"),
        ("0 0 * JANUARY *", "month field 'JANUARY': allowed are 1-12 or JAN-DEC;"),
        ("0 0 * * 8", "day-of-week field '8': allowed are 0-7 (0 and 7 are Sunday) or SUN-SAT,"),
        ("0 0 * * FRI-MON", "day-of-week field 'FRI-MON': allowed are 0-7"),
        ("0 0 * * 1#6", "day-of-week field '1#6': allowed are"),
        ("22-2 * * * *", "ranges 1-5 from low to high"),
        ("*/0 * * * *", "minute field '*/0': allowed are"),
        ("1-100000000 * * * *", "minute field '1-100000000': allowed are"),
        ("5- * * * *", "minute field '5-': allowed are"),
        ("² * * * *", "minute field '²': allowed are"),
        ("* * * *", "cron '* * * *' has 4 fields; five are needed: minute hour day-of-month"),
        ("", "cron '' has 0 fields"),
        ("0 * * * * *", "has 6 fields; five are needed:"),
        ("0 * * * * *", "for periods of seconds use `every`"),
        ("@dayly", "unknown cron shorthand '@dayly'; known are @hourly, @daily,"),
        ("@reboot", "unknown cron shorthand '@reboot'; known are"),
        ("@every 5m", "unknown cron shorthand '@every 5m'; known are"),
        ("*" * 201, "a cron expression has at most 200 characters"),
    ],
)
def test_bad_expressions(expression: str, sentence: str) -> None:
    """A bad expression is refused with its field, its value and what is allowed there."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        schedule.check_cron(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 30 2 *",
        "0 0 31 2,4,6,9,11 *",
        "0 0 30,31 feb *",
        "0 0 */40 * MON#2",  # the 1st of a month is never a second Monday
        "0 0 LW * */7",  # the last working day is never a Sunday
    ],
)
def test_impossible_dates(expression: str) -> None:
    """An expression that never fires is refused, and finding out costs next to nothing."""
    start = time.process_time()
    with pytest.raises(ValueError, match="never fires: no date matches its days and months"):
        schedule.check_cron(expression)
    spent = time.process_time() - start

    assert 0.1 > spent


@pytest.mark.parametrize("expression", ["*/15 * * * *", "0,15 0,1 * * *"])
def test_the_first_moment(expression: str) -> None:
    """At zero, where our counting of time starts, strictly after means that as well."""
    cron = cron_due(expression, "UTC")

    assert 15 * MINUTE == cron.next_after(0)
    assert 0 == cron.next_after(-1)
    assert 0 == cron.last_until(0)


@settings(deadline=None)
@given(st.one_of(FIELDS, st.lists(ANYTHING, min_size=4, max_size=6)).map(" ".join))
def test_any_text(expression: str) -> None:
    """Whatever is written as an expression is either accepted, and fires, or a `ValueError`."""
    try:
        schedule.check_cron(expression)
    except ValueError:
        return

    first = cron_due(expression, "UTC").next_after(0)
    assert first is not None

    assert 0 < first


def test_days_against_the_calendar() -> None:
    """Over ten years, the days found are those that a plain reading of the rules picks."""
    first, last = date(2020, 1, 1), date(2029, 12, 31)
    every = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    rules = {
        "13 * FRI": [d for d in every if d.day == 13 or d.isoweekday() == 5],
        "*/2 3-5 *": [d for d in every if d.day % 2 == 1 and 3 <= d.month <= 5],
        "L * *": [d for d in every if (d + timedelta(days=1)).day == 1],
        "* * 3L": [d for d in every if d.isoweekday() == 3 and (d + timedelta(7)).day <= 7],
        "* * 2#3": [d for d in every if d.isoweekday() == 2 and 15 <= d.day <= 21],
    }
    found = {rule: days(rule, "2020-01-01", len(dates)) for rule, dates in rules.items()}

    assert {rule: [str(day) for day in dates] for rule, dates in rules.items()} == found


@pytest.mark.parametrize("moment", [-3 * 10**12, 10**15, -(10**18), 10**18])
def test_far_off_times(moment: int) -> None:
    """Far from our time, where the calendar ends, there is no due time rather than an error."""
    cron = cron_due("0 0 * * *", "Europe/Berlin")

    assert (None, None) == (cron.next_after(moment), cron.last_until(moment))


@pytest.mark.parametrize("moment", ["1900-01-02", "1969-12-31T23:59", "1970-01-01", "2999-12-31"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Africa/Monrovia"])
def test_other_centuries(moment: str, zone: str) -> None:
    """Long ago and far ahead, a daily job is still due once in every day."""
    cron = cron_due("0 12 * * *", zone)
    start = ms(moment)
    after, until = cron.next_after(start), cron.last_until(start)
    assert after is not None
    assert until is not None

    assert until <= start < after
    assert 2 * DAY > after - until
