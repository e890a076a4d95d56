"""Daily windows on the local clock, such as `mon-fri 22:00..02:00`, and one place in each of them.

Wall times are milliseconds since 1970-01-01 00:00 on the local clock. A window that crosses
midnight belongs to the day on which it starts.
"""

import re
from functools import lru_cache

from rota.scheduler import crontab

_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_THURSDAY = 4  # 1970-01-01, in crontab's numbers
_TIMES = re.compile(r"([0-9]{2}):([0-9]{2})\.\.([0-9]{2}):([0-9]{2})")
_LONGEST = 100  # characters


class Between:
    """One window a day, on some days of the week; immutable, so that jobs share it."""

    __slots__ = ("_days", "length_ms", "start_ms")

    def __init__(self, days: frozenset[int], start_ms: int, length_ms: int) -> None:
        self._days = days
        self.start_ms = start_ms  # from midnight
        self.length_ms = length_ms

    def on(self, day: int) -> bool:
        """Tell whether a window starts on a day, counted from 1970-01-01."""
        return (day + _THURSDAY) % 7 in self._days

    def around(self, wall: int) -> tuple[int, int] | None:
        """Return start and end of the window that holds `wall`; None if none does."""
        today = wall // _DAY_MS
        for day in (today, today - 1):
            start = day * _DAY_MS + self.start_ms
            if start <= wall < start + self.length_ms and self.on(day):
                return start, start + self.length_ms
        return None


class Place:
    """A series of wall times: the same place in each window."""

    __slots__ = ("_between", "_offset")

    def __init__(self, between: Between, place_ms: int) -> None:
        self._between = between
        self._offset = between.start_ms + place_ms

    def after(self, wall: int) -> int:
        """Return the first of the times strictly after `wall`."""
        day = (wall - self._offset) // _DAY_MS + 1
        while not self._between.on(day):
            day += 1
        return day * _DAY_MS + self._offset

    def until(self, wall: int) -> int:
        """Return the last of the times at or before `wall`."""
        day = (wall - self._offset) // _DAY_MS
        while not self._between.on(day):
            day -= 1
        return day * _DAY_MS + self._offset


@lru_cache(maxsize=4096)
def read(text: str) -> Between:
    """Return the window that `text` stands for, shared between all who ask for the same one.

    Raises `ValueError` with a sentence that says what to write instead.
    """
    *days, times = text.split() or [""]
    found = _TIMES.fullmatch(times)
    if len(days) > 1 or found is None or len(text) > _LONGEST:
        raise ValueError(
            f"{text[:_LONGEST]!r} is no window; write for example 02:00..04:00 or"
            " mon-fri 22:00..02:00"
        )
    start = _minute(found[1], found[2], last=23 * 60 + 59)
    end = _minute(found[3], found[4], last=24 * 60)
    if start == end:
        raise ValueError(f"{text!r} has no length; for a whole day write 00:00..24:00")
    length = end - start if end > start else end - start + 24 * 60
    on = crontab.weekdays(days[0] if days else "*")
    return Between(on, start * _MINUTE_MS, length * _MINUTE_MS)


def _minute(hour: str, minute: str, *, last: int) -> int:
    total = 60 * int(hour) + int(minute)
    if int(minute) >= 60 or total > last:  # noqa: PLR2004 - minutes of an hour
        raise ValueError(
            f"'{hour}:{minute}' is no time of day; write 00:00 to 23:59, or 24:00 for an end"
        )
    return total
