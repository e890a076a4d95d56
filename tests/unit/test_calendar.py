"""The occurrences in a span of time, against those that are told one by one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.common.job import Blackout, Job
from rota.scheduler import calendar
from rota.scheduler.blackout import blackout_at
from rota.scheduler.calendar import Span, spans
from rota.scheduler.schedule import due_of
from tests.support.definitions import job
from tests.support.moment import DAY, HOUR, MINUTE, ms

NOW = ms("2026-11-23T12:00")
NIGHT = (Blackout(between="22:00..06:00", reason="quiet"),)
JOBS = [
    job(every="7m"),
    job(every="7m", jitter_ms=20_000),
    job(every="7m", blackouts=NIGHT),
    job(cron="*/20 8-10 * * *", timezone="Europe/Berlin"),
    job(cron="0 * * * *", blackouts=NIGHT, timezone="America/New_York"),
    job(between="02:00..04:00"),
    job(at="2026-11-23 06:00"),
]


def one_by_one(each: Job, after_ms: int, until_ms: int) -> list[Span]:
    """Return the spans by asking for one occurrence after the other."""
    due, found = due_of(each), list[Span]()
    moment = due.next_after(after_ms)
    while moment is not None and moment <= until_ms:
        window = blackout_at(each, moment)
        why = ("blackout", window.blackout.text) if window else ("", "")
        if found and found[-1][3:] == why:
            found[-1] = Span(found[-1].from_ms, moment, found[-1].times + 1, *why)
        else:
            found.append(Span(moment, moment, 1, *why))
        moment = due.next_after(moment)
    return found


@given(
    st.sampled_from(JOBS),
    st.integers(NOW - 3 * DAY, NOW + DAY),
    st.integers(-MINUTE, 2 * DAY),
)
@settings(max_examples=200, deadline=None)
def test_spans(each: Job, after_ms: int, length_ms: int) -> None:
    """The spans are what one sees who looks at each occurrence."""
    expected = one_by_one(each, after_ms, after_ms + length_ms)

    assert expected == spans(each, after_ms, after_ms + length_ms)


def test_fixed_delay() -> None:
    """A fixed delay is due for nothing that anybody could tell before."""
    assert [] == spans(job(after="1m"), NOW - DAY, NOW)


def test_many_at_a_fixed_rate() -> None:
    """Of a fixed rate any number is counted."""
    (span,) = spans(job(every="1s"), NOW - 366 * DAY, NOW)

    assert 366 * DAY // 1000 == span.times


@pytest.mark.parametrize("each", [job(cron="* * * * *"), job(every="1m", blackouts=NIGHT)])
def test_too_many(each: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many the last are told as they are; the first are one span, none of them left out."""
    monkeypatch.setattr(calendar, "_MOST", 100)
    found = spans(each, NOW - 10 * HOUR, NOW)
    before, last = found[0], found[-1]

    assert 100 == sum(span.times for span in found[1:])
    assert NOW - last.to_ms < MINUTE
    assert (before.from_ms, before.outcome) == (due_of(each).next_after(NOW - 10 * HOUR), "")
    assert due_of(each).next_after(before.to_ms) == found[1].from_ms
    assert before.times == (500 if each.schedule.kind == "every" else 0)
