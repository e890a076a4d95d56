"""What falls due in a blackout is found, to the moment, on the clock of the job's zone."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.common.job import Blackout, Job
from rota.scheduler.blackout import blackout_at, leave_time
from rota.scheduler.withheld import by_blackout, opening
from tests.support.definitions import job
from tests.support.moment import HOUR, MINUTE, local, ms

OFFICE = Blackout(between="mon-fri 08:00..18:00", reason="office hours")
NIGHT = Blackout(between="22:00..02:00")
FREEZE = Blackout(start="2026-12-24 00:00", end="2027-01-02 06:00", reason="holidays")
SPRING = Blackout(between="02:00..03:00")  # in Berlin there is none on 29 March


def opens(each: Job, moment: int) -> int | None:
    """Return when a blackout that holds at `moment` has ended."""
    return opening(lambda at: by_blackout(each, at), moment)


def held(*blackouts: Blackout, timezone: str = "Europe/Berlin") -> Job:
    """Return a job with these blackouts."""
    return job(every="1h", timezone=timezone, blackouts=blackouts)


def inside(each: Job, moment: str) -> bool:
    """Tell whether an occurrence at an ISO time, in Berlin unless it names an offset, is held."""
    return blackout_at(each, ms(moment)) is not None


@pytest.mark.parametrize(
    ("blackout", "moment", "expected"),
    [
        (OFFICE, "2026-11-23T07:59:59.999+01:00", False),
        (OFFICE, "2026-11-23T08:00+01:00", True),
        (OFFICE, "2026-11-23T17:59:59.999+01:00", True),
        (OFFICE, "2026-11-23T18:00+01:00", False),
        (OFFICE, "2026-11-22T12:00+01:00", False),  # a Sunday
        (OFFICE, "2026-07-01T08:00+02:00", True),
        (OFFICE, "2026-07-01T08:00+01:00", True),  # 09:00
        (OFFICE, "2026-07-01T18:00+03:00", True),  # 17:00
        (NIGHT, "2026-11-23T01:59+01:00", True),
        (NIGHT, "2026-11-23T02:00+01:00", False),
        (NIGHT, "2026-11-23T22:00+01:00", True),
        (Blackout(between="fri 22:00..02:00"), "2026-11-28T01:00+01:00", True),  # a Saturday
        (Blackout(between="fri 22:00..02:00"), "2026-11-27T01:00+01:00", False),
        (Blackout(between="sat,sun 00:00..24:00"), "2026-11-22T23:59+01:00", True),
        (Blackout(between="sat,sun 00:00..24:00"), "2026-11-23T00:00+01:00", False),
        (FREEZE, "2026-12-23T23:59:59.999+01:00", False),
        (FREEZE, "2026-12-24T00:00+01:00", True),
        (FREEZE, "2027-01-02T05:59:59.999+01:00", True),
        (FREEZE, "2027-01-02T06:00+01:00", False),
        (SPRING, "2026-03-29T01:59:59+01:00", False),
        (SPRING, "2026-03-29T03:00+02:00", False),  # due when the clock has jumped over it
        (SPRING, "2026-10-25T02:30+02:00", True),
        (SPRING, "2026-10-25T02:30+01:00", True),
    ],
)
def test_inside(blackout: Blackout, moment: str, expected: bool) -> None:
    """An occurrence is kept back from the start of a blackout on, and no more at its end."""
    assert expected == inside(held(blackout), moment)


def test_which() -> None:
    """The window that keeps an occurrence back says which blackout it is, and how long it lasts."""
    window = blackout_at(held(FREEZE, OFFICE), ms("2026-11-23T12:00+01:00"))
    assert window is not None

    assert "mon-fri 08:00..18:00 (office hours)" == window.blackout.text
    assert ms("2026-11-23T08:00+01:00") == window.start_ms
    assert ms("2026-11-23T18:00+01:00") == window.end_ms
    assert "2026-12-24 00:00 to 2027-01-02 06:00 (holidays)" == FREEZE.text
    assert "22:00..02:00" == NIGHT.text


def test_none() -> None:
    """Without blackouts nothing is kept back."""
    assert blackout_at(job(every="1h"), 0) is None
    assert 7 == opens(job(every="1h"), 7)


@pytest.mark.parametrize(
    ("blackouts", "moment", "expected"),
    [
        ([OFFICE], "2026-11-23T12:00+01:00", "2026-11-23T18:00+01:00"),
        ([OFFICE], "2026-11-23T18:00+01:00", "2026-11-23T18:00+01:00"),
        ([OFFICE, NIGHT], "2026-11-23T23:00+01:00", "2026-11-24T02:00+01:00"),
        ([Blackout(between="sat,sun 00:00..24:00")], "2026-11-21T12:00", "2026-11-23T00:00+01:00"),
        ([FREEZE, OFFICE], "2026-12-24T12:00", "2027-01-02T06:00+01:00"),
        ([OFFICE, Blackout(between="18:00..20:00")], "2026-11-23T12:00", "2026-11-23T20:00+01:00"),
        # The clock goes back within it, or jumps.
        ([Blackout(between="01:00..04:00")], "2026-10-24T23:30", "2026-10-25T04:00+01:00"),
        ([Blackout(between="01:00..04:00")], "2026-03-29T00:30", "2026-03-29T04:00+02:00"),
        ([Blackout(between="01:00..02:30")], "2026-03-29T00:30", "2026-03-29T03:00+02:00"),
    ],
)
def test_opening(blackouts: list[Blackout], moment: str, expected: str) -> None:
    """A blackout's end is found through others that follow at once, and through clock changes."""
    assert ms(expected) == opens(held(*blackouts), ms(moment))


def test_never_open() -> None:
    """Blackouts that never end come to an end all the same: there is no opening."""
    assert opens(held(Blackout(between="00:00..24:00")), 0) is None


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([], True),
        (["00:00..23:59"], True),
        (["00:00..24:00"], False),
        (["00:00..12:00", "12:00..00:00"], False),
        (["mon-fri 00:00..24:00", "sat 00:00..24:00"], True),
        (["mon-fri 00:00..24:00", "sat,sun 00:00..24:00"], False),
        (["22:00..21:59"], True),
    ],
)
def test_leave_time(windows: list[str], expected: bool) -> None:
    """Windows that together cover the week are found out; a stretch of time always ends."""
    assert expected == leave_time([FREEZE, *(Blackout(between=window) for window in windows)])


def naive(blackout: Blackout, moment: int, zone: str) -> bool:
    """Tell by a plain reading of the clock whether a blackout holds a moment."""
    wall = local(moment, zone).replace(tzinfo=None)
    if not blackout.between:
        return blackout.start <= f"{wall:%Y-%m-%d %H:%M:%S}" and (
            f"{wall:%Y-%m-%d %H:%M}" < blackout.end
        )
    start, end = blackout.between[-12:-7], blackout.between[-5:]
    time, today = f"{wall:%H:%M}", wall.isoweekday()
    days = {"mon-fri": {1, 2, 3, 4, 5}, "sat,sun": {6, 7}}.get(
        blackout.between[:7], set(range(1, 8))
    )
    if start < end:
        return start <= time < end and today in days
    return (time >= start and today in days) or (time < end and (today - 2) % 7 + 1 in days)


def stretch(start: datetime, end: datetime) -> Blackout:
    """Return the blackout from one time on the local clock to another."""
    return Blackout(start=f"{start:%Y-%m-%d %H:%M}", end=f"{end:%Y-%m-%d %H:%M}")


times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
recurring = st.builds(
    "{}{}..{}".format, st.sampled_from(["", "mon-fri ", "sat,sun "]), times, times
).filter(lambda text: text[-12:-7] != text[-5:])
blackouts = st.one_of(
    recurring.map(lambda text: Blackout(between=text)),
    st.tuples(
        st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - on a wall
        st.timedeltas(timedelta(minutes=1), timedelta(days=99)),
    ).map(lambda it: stretch(it[0], it[0] + it[1])),
)  # fmt: skip
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]


@settings(deadline=None, max_examples=300)
@given(
    st.lists(blackouts, min_size=1, max_size=3),
    st.sampled_from(ZONES),
    st.integers(ms("2026-01-01") // MINUTE, ms("2027-01-01") // MINUTE),
    st.sampled_from([-1, 0, 1]),
)
def test_as_the_clock_shows(given: list[Blackout], zone: str, minute: int, off: int) -> None:
    """Whether an occurrence is kept back is what a plain reading of the clock on the wall says."""
    moment = minute * MINUTE + off
    each = job(every="1h", timezone=zone, blackouts=tuple(given))
    window = blackout_at(each, moment)
    expected = [it for it in given if naive(it, moment, zone)]

    assert bool(expected) == (window is not None)
    if window is not None:
        assert expected[0] == window.blackout
        assert window.start_ms <= moment < window.end_ms
        assert naive(expected[0], window.start_ms, zone)
        assert naive(expected[0], window.end_ms - 1, zone)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(blackouts, min_size=1, max_size=3),
    st.sampled_from(ZONES),
    st.integers(ms("2026-01-01") // HOUR, ms("2027-01-01") // HOUR),
)
def test_nothing_is_open_before_the_opening(given: list[Blackout], zone: str, hour: int) -> None:
    """From an occurrence to the end of its blackout every moment is kept back, and that is not."""
    each: Any = job(every="1h", timezone=zone, blackouts=tuple(given))
    start = hour * HOUR
    found = opens(each, start)
    if not leave_time(given):
        return
    assert found is not None

    assert blackout_at(each, found) is None
    step = max(MINUTE, (found - start) // 500)
    assert all(blackout_at(each, moment) for moment in range(start, found, step))
    assert found == start or blackout_at(each, found - 1) is not None
