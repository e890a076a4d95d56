"""Daily windows: what one may write, and each job's own place in them."""

import re
from collections import Counter

import pytest

from rota.scheduler import between, once
from rota.scheduler.schedule import due_of, upcoming
from tests.support.definitions import job
from tests.support.moment import DAY, HOUR, local, ms

NOW = ms("2026-11-23T12:00")  # a Monday


def starts(text: str, count: int) -> list[str]:
    """Return the days on which the coming windows of a job start, and the times of its places."""
    found = upcoming(job(between=text), NOW, count)
    return [f"{local(it, 'UTC'):%a %H}" for it in found]


@pytest.mark.parametrize(
    ("text", "start_h", "length_h"),
    [
        ("02:00..04:00", 2, 2),
        ("22:00..02:00", 22, 4),
        ("00:00..24:00", 0, 24),
        ("12:00..11:00", 12, 23),
        ("23:00..00:00", 23, 1),
        ("  mon-fri   02:00..04:00 ", 2, 2),
        ("*/2 02:00..04:00", 2, 2),
    ],
)
def test_windows(text: str, start_h: int, length_h: int) -> None:
    """A window goes from its start to the next time that its end comes."""
    window = between.read(text)

    assert (start_h * HOUR, length_h * HOUR) == (window.start_ms, window.length_ms)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("2:00..04:00", "'2:00..04:00' is no window; write for example 02:00..04:00 or mon-fri 22"),
        ("02:00-04:00", "'02:00-04:00' is no window; write for example"),
        ("02:00 .. 04:00", "is no window"),
        ("", "'' is no window"),
        ("mon fri 02:00..04:00", "is no window"),
        ("x" * 999, "x' is no window"),
        ("02:60..04:00", "'02:60' is no time of day; write 00:00 to 23:59, or 24:00 for an end"),
        ("24:00..04:00", "'24:00' is no time of day"),
        ("02:00..24:01", "'24:01' is no time of day"),
        ("02:00..99:00", "'99:00' is no time of day"),
        ("02:00..02:00", "has no length; for a whole day write 00:00..24:00"),
        ("monday 02:00..04:00", "'monday' names no days of the week; write for example mon-fri or"),
        ("fri-mon 02:00..04:00", "'fri-mon' names no days of the week"),
        ("5L 02:00..04:00", "'5L' names no days of the week"),
        ("mon#2 02:00..04:00", "'mon#2' names no days of the week"),
        ("8 02:00..04:00", "'8' names no days of the week"),
        ("1-99999999999 02:00..04:00", "names no days of the week"),
    ],
)
def test_no_windows(text: str, sentence: str) -> None:
    """What is no window is refused with what to write instead."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        between.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-24",
        "2026-12-24T18:00",
        "2026-12-24 18:00Z",
        "2026-12-24 18:00+01:00",
        "2026-12-24 24:00",
        "2026-02-29 00:00",
        "24.12.2026 18:00",
        "1969-12-31 23:59",
        "3000-01-01 00:00",
        "tomorrow",
        "",
        "٢026-12-24 18:00",
    ],
)
def test_no_moments(text: str) -> None:
    """What is no date and time on the local clock is refused with what to write instead."""
    with pytest.raises(ValueError, match="is no date and time; write for example 2026-12-24 18:00"):
        once.read(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mon-fri 09:00..10:00", ["Tue 09", "Wed 09", "Thu 09", "Fri 09", "Mon 09"]),
        ("sat,sun 09:00..10:00", ["Sat 09", "Sun 09", "Sat 09"]),
        ("6-7 09:00..10:00", ["Sat 09", "Sun 09", "Sat 09"]),
        ("0,MON 09:00..10:00", ["Sun 09", "Mon 09", "Sun 09"]),
    ],
)
def test_days(text: str, expected: list[str]) -> None:
    """A job with a window is due on the days of the week that a crontab would mean."""
    assert expected == starts(text, len(expected))


def test_over_midnight() -> None:
    """The day of a window that crosses midnight is the one on which it starts."""
    dues = [
        local(upcoming(job(f"t{n}/x", between="fri 22:00..02:00"), NOW, 1)[0], "UTC")
        for n in range(200)
    ]
    hours = Counter(f"{due:%a %H}" for due in dues)

    assert {"Fri 22", "Fri 23", "Sat 00", "Sat 01"} == set(hours)


def test_one_place() -> None:
    """A job is due once a day, always at the same place, to the second, in every process."""
    each = job(between="02:00..04:00")
    first, *others = upcoming(each, NOW, 30)

    assert [first + n * DAY for n in range(1, 30)] == others
    assert 0 == first % 1_000
    assert first == due_of(each).next_after(first - DAY)
    assert "2026-11-24T03:41:47" == local(first, "UTC").isoformat()[:19]


def test_places_are_even() -> None:
    """Thousands of tenants are spread evenly over the window."""
    buckets, count = 60, 6_000
    found = Counter(
        (upcoming(job(f"tenant-{n:04}/x", between="22:00..02:00"), NOW, 1)[0] - 22 * HOUR)
        % DAY
        * buckets
        // (4 * HOUR)
        for n in range(count)
    )
    expected = count / buckets
    deviation = sum((found[n] - expected) ** 2 / expected for n in range(buckets))

    assert set(range(buckets)) == set(found)
    assert 98.3 > deviation  # chi-square, 59 degrees of freedom: one in a thousand lies above
