"""A time zone as spans of constant offset to UTC; zoneinfo knows them and doesn't tell.

Within a span local time is plain arithmetic, and a clock change is nothing but the edge between two
spans. Spans are found by asking zoneinfo once per day of a year, when that year is first needed.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from itertools import chain
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rota.common import clock

_DAY_MS = 86_400_000
_SECOND_MS = 1000
_YEAR_MS = 365 * _DAY_MS
_NO_ZONES = ("localtime", "posix", "posixrules", "right")  # a machine's own files beside the zones
_MS = timedelta(milliseconds=1)


class Span(NamedTuple):
    """A stretch of time in which the offset to UTC stays the same; wall time is UTC plus offset."""

    start: int  # UTC, milliseconds since 1970
    end: int  # UTC, milliseconds since 1970, not included
    offset: int  # milliseconds
    before: int  # the offset just before `start`; larger: times repeat, smaller: times are skipped
    after: int  # the offset from `end` on


class Zone:
    """One IANA time zone."""

    __slots__ = ("_info", "_recent", "_years")

    def __init__(self, info: ZoneInfo) -> None:
        self._info = info
        self._years: dict[int, tuple[Span, ...]] = {}
        self._recent = Span(0, 0, 0, 0, 0)  # most questions are asked around one moment

    def at(self, ms: int) -> Span:
        """Return the span that holds `ms`, from the year 1770 to 9800."""
        span = self._recent
        if not span.start <= ms < span.end:
            span = self._recent = self._seek(ms)
        return span

    def _seek(self, ms: int) -> Span:
        year = ms // _YEAR_MS
        spans = chain(self._spans(year), self._spans(year - 1))  # a year may start some days late
        return next(span for span in spans if span.start <= ms < span.end)

    def _spans(self, year: int) -> tuple[Span, ...]:
        spans = self._years.get(year)
        if spans is None:
            spans = self._years[year] = tuple(self._find(self._edge(year), self._edge(year + 1)))
        return spans

    def _edge(self, year: int) -> int:
        """Return where our year starts: two days clear of any change, so that none is cut."""
        edge = year * _YEAR_MS
        while self._offset(edge - 2 * _DAY_MS) != self._offset(edge + 2 * _DAY_MS):
            edge += 4 * _DAY_MS
        return edge

    def _find(self, start: int, end: int) -> Iterator[Span]:
        before = offset = self._offset(start)
        for day in range(start, end, _DAY_MS):
            later = self._offset(day + _DAY_MS)
            if later != offset:
                change = self._change(day, day + _DAY_MS, offset)
                yield Span(start, change, offset, before, later)
                start, before, offset = change, offset, later
        yield Span(start, end, offset, before, offset)

    def _change(self, low: int, high: int, offset: int) -> int:
        """Return the first second between `low` and `high` at which the offset is another one."""
        while high - low > _SECOND_MS:
            middle = (low + high) // 2 // _SECOND_MS * _SECOND_MS
            if self._offset(middle) == offset:
                low = middle
            else:
                high = middle
        return high

    def _offset(self, ms: int) -> int:
        offset = clock.utc(ms).astimezone(self._info).utcoffset()
        assert offset is not None
        return offset // _MS


@lru_cache(maxsize=1024)
def load(name: str) -> Zone:
    """Return the zone of that IANA name, shared between all who ask for it.

    Raises `ValueError` if there is none.
    """
    try:
        info = None if name.partition("/")[0] in _NO_ZONES else ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, malformed, a folder
        info = None
    if info is None:
        raise ValueError(
            f"unknown time zone {name!r}; write an IANA name, such as Europe/Berlin or UTC"
        )
    return Zone(info)
