"""Zones as spans of constant offset."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.scheduler import zone
from tests.support.moment import DAY, ms, text

NAMES = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "Antarctica/Troll"]
MOMENTS = st.integers(ms("1970-01-01"), ms("2200-01-01"))


def spans(name: str, start: str, end: str) -> list[zone.Span]:
    """Return the spans of a zone from the one at `start` on, until one begins after `end`."""
    found = [zone.load(name).at(ms(start))]
    while found[-1].end < ms(end):
        found.append(zone.load(name).at(found[-1].end))
    return found


def test_changes() -> None:
    """A span ends, to the second, where the clock changes, and knows how it changed."""
    span, summer, winter = spans("Europe/Berlin", "2026-03-01", "2026-10-26")

    assert ("2026-03-29T01:00", "2026-10-25T01:00") == (
        text(summer.start)[:16],
        text(winter.start)[:16],
    )
    assert (3_600_000, 7_200_000, 3_600_000) == (span.offset, summer.offset, winter.offset)
    assert (3_600_000, 7_200_000) == (summer.before, winter.before)


@settings(deadline=None)
@given(st.sampled_from(NAMES), MOMENTS)
def test_offsets(name: str, moment: int) -> None:
    """The span of a moment holds it, and has the offset that the zone database states."""
    span = zone.load(name).at(moment)

    assert span.start <= moment < span.end
    assert text(moment + span.offset)[:16] == text(moment, name)[:16]


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("Pacific/Kiritimati", "1990-01-01", "2000-01-01"),
        ("Europe/Berlin", "2020-01-01", "2030-01-01"),
        ("America/New_York", "2200-01-01", "2260-01-01"),
    ],
)
def test_seamless(name: str, start: str, end: str) -> None:
    """Spans follow each other without a gap, and one that ends without a change is clear of any."""
    found = spans(name, start, end)
    changes = [span.start for span in found if span.before != span.offset]
    others = [span.start for span in found if span.before == span.offset]

    assert [] != changes
    assert all(left.end == right.start for left, right in pairwise(found))
    assert all(left.offset == right.before for left, right in pairwise(found))
    assert all(left.after == right.offset for left, right in pairwise(found))
    assert DAY < min(abs(other - change) for other in others for change in changes)


def test_back_is_the_reverse() -> None:
    """Going back from a moment meets the spans that going forward leads through."""
    forward = spans("America/New_York", "2020-01-01", "2030-01-01")
    back = [forward[-1]]
    while back[-1].start > ms("2020-01-01"):
        back.append(zone.load("America/New_York").at(back[-1].start - 1))

    assert forward == back[::-1]


def test_shared() -> None:
    """All jobs in a zone share what is known about it."""
    assert zone.load("Europe/Berlin") is zone.load("Europe/Berlin")
